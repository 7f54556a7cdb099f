import type { JSX } from "preact";

/** Text in which `commands` stand between backticks, as the messages of the command line have them. */
export function Marked({ text }: { text: string }): JSX.Element {
  const parts = text.split("`");
  // An odd number of backticks is no pair: then they are letters like others.
  if (parts.length % 2 === 0) return <bdi>{text}</bdi>;
  return <bdi>{parts.map((part, index) => (index % 2 ? <code key={`${index} ${part}`}>{part}</code> : part))}</bdi>;
}
