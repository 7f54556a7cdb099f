import type { JSX, RefObject } from "preact";
import { Icon } from "../../components/icons";
import { NameFilter } from "../../components/name-filter";
import { type TileSize, tileSize } from "../../state/preferences";
import { set } from "../../state/set";
import {
  attentionOnly,
  feedCount,
  filterPrompt,
  filterText,
  isOrderHeld,
  type Order,
  order,
  prompts,
} from "../../state/wall";
import { messages } from "../../text/messages";

interface WallToolbarProps {
  readonly shown: number;
  readonly filter: RefObject<HTMLInputElement | null>;
  /** Go from the filter to the tiles. */
  readonly onDown: () => void;
  /** Open the first feed. */
  readonly onEnter: () => void;
}

export function WallToolbar({ shown, filter, onDown, onEnter }: WallToolbarProps): JSX.Element {
  const m = messages.value;
  const move = (event: KeyboardEvent): void => {
    const act = { ArrowDown: onDown, Enter: onEnter }[event.key];
    if (!act || event.isComposing) return;
    event.preventDefault();
    act();
  };
  return (
    <search class="toolbar">
      <label class="field field-search">
        <span class="visually-hidden">{m.filter_feeds}</span>
        <Icon name="search" size={16} />
        <input
          ref={filter}
          type="search"
          value={filterText.value}
          placeholder={m.filter_feeds_hint}
          onInput={(event) => set(filterText, event.currentTarget.value)}
          onKeyDown={move}
        />
      </label>
      <NameFilter label={m.filter_prompt} all={m.all_prompts} names={prompts.value} chosen={filterPrompt} />
      <label class="field">
        <span class="field-label">{m.sort_by}</span>
        <select value={order.value} onChange={(event) => set(order, event.currentTarget.value as Order)}>
          <option value="attention">{m.sort_attention}</option>
          <option value="name">{m.sort_name}</option>
          <option value="lag">{m.sort_lag}</option>
        </select>
      </label>
      <button
        type="button"
        class="button button-toggle"
        aria-pressed={attentionOnly.value}
        onClick={() => set(attentionOnly, !attentionOnly.value)}
      >
        <Icon name="alert" size={16} />
        {m.attention_only}
      </button>
      <fieldset class="segments">
        <legend class="visually-hidden">{m.tile_size}</legend>
        {(["small", "medium", "large"] satisfies TileSize[]).map((size, index) => (
          <button
            key={size}
            type="button"
            class="segment"
            aria-pressed={tileSize.value === size}
            aria-label={`${m.tile_size}: ${"SML"[index]}`}
            onClick={() => set(tileSize, size)}
          >
            {"SML"[index]}
          </button>
        ))}
      </fieldset>
      <span class="toolbar-status">
        {isOrderHeld.value && order.value === "attention" && <span class="muted">{m.order_held} · </span>}
        {m.feeds_shown(shown, feedCount.value)}
      </span>
    </search>
  );
}
