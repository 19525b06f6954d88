/** The dialogs of the page, by name. */
import { Directory } from "./Directory";
import { Help } from "./Help";
import { NewDirect } from "./NewDirect";
import { NewRoom } from "./NewRoom";
import { Switcher } from "./Switcher";

export type DialogName = keyof typeof DIALOGS;

const DIALOGS = { directory: Directory, direct: NewDirect, help: Help, room: NewRoom, switcher: Switcher };

interface Props {
  name: DialogName | null;
  onClose(): void;
}

export function Dialogs({ name, onClose }: Props) {
  if (!name) return null;
  const Shown = DIALOGS[name];
  return <Shown onClose={onClose} />;
}
