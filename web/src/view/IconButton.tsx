/** A button that is a picture and has a name. */
import type { ButtonHTMLAttributes } from "preact";
import { Icon, type IconName } from "./Icon";

interface Props extends Omit<ButtonHTMLAttributes, "icon"> {
  icon: IconName;
  name: string;
}

export function IconButton({ icon, name, ...rest }: Props) {
  return (
    <button type="button" class="icon-button" aria-label={name} title={name} {...rest}>
      <Icon name={icon} />
    </button>
  );
}
