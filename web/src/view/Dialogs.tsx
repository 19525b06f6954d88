/** The dialogs of the page by name. */
import { DirectoryDialog } from "./DirectoryDialog";
import { HelpDialog } from "./HelpDialog";
import { NewDirectDialog } from "./NewDirectDialog";
import { NewRoomDialog } from "./NewRoomDialog";
import { RoomSwitcher } from "./RoomSwitcher";

export type DialogName = keyof typeof DIALOGS;

const DIALOGS = {
  directory: DirectoryDialog,
  direct: NewDirectDialog,
  help: HelpDialog,
  room: NewRoomDialog,
  switcher: RoomSwitcher,
};

interface Props {
  name: DialogName | null;
  onClose(): void;
}

export function Dialogs({ name, onClose }: Props) {
  if (!name) return null;
  const SelectedDialog = DIALOGS[name];
  return <SelectedDialog onClose={onClose} />;
}
