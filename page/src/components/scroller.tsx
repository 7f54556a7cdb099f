import type { ComponentChildren, JSX } from "preact";

interface ScrollerProps {
  readonly name: string;
  readonly class: string;
  readonly children: ComponentChildren;
}

/** A group that may be wider or higher than its place: the keyboard reaches and scrolls it. */
export function Scroller({ name, class: className, children }: ScrollerProps): JSX.Element {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a field set is for the fields of a form
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <div class={className} role="group" aria-label={name} tabIndex={0}>
      {children}
    </div>
  );
}
