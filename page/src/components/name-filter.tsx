import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { set } from "../state/set";

interface NameFilterProps {
  readonly label: string;
  readonly all: string;
  readonly names: readonly string[];
  readonly chosen: Signal<string>;
}

/** A choice among names, or all of them, kept in a signal: the empty text stands for all. */
export function NameFilter(props: NameFilterProps): JSX.Element {
  return (
    <label class="field">
      <span class="visually-hidden">{props.label}</span>
      <select value={props.chosen.value} onChange={(event) => set(props.chosen, event.currentTarget.value)}>
        <option value="">{props.all}</option>
        {props.names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
