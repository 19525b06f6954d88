/** Like `memo` of preact/compat: a component that is rendered again only when its properties have changed. */
import { Component, type ComponentType, h, type VNode } from "preact";

export function memo<Props extends object>(
  Wrapped: (props: Props) => VNode | null,
  isSame: (one: Props, other: Props) => boolean,
): ComponentType<Props> {
  return class extends Component<Props> {
    override shouldComponentUpdate(next: Props): boolean {
      return !isSame(this.props, next);
    }
    override render() {
      return h(Wrapped as ComponentType<Props>, this.props);
    }
  };
}
