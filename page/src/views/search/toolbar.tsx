import type { JSX, RefObject } from "preact";
import { Icon } from "../../components/icons";
import { NameFilter } from "../../components/name-filter";
import { go } from "../../router";
import {
  found,
  isSearching,
  PLACES,
  type Place,
  search,
  searchedText,
  searchFeed,
  searchFrom,
  searchPlace,
  searchTime,
  searchTo,
  TIMES,
  type Time,
} from "../../state/search";
import { set } from "../../state/set";
import { feedNames } from "../../state/wall";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

interface SearchToolbarProps {
  readonly box: RefObject<HTMLInputElement | null>;
  /** Go from the box to what was found. */
  readonly onDown: () => void;
}

export function SearchToolbar({ box, onDown }: SearchToolbarProps): JSX.Element {
  const m = messages.value;
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = box.current?.value.trim() ?? "";
    if (text === searchedText.value) void search();
    else go({ view: "search", text });
  };
  const move = (event: KeyboardEvent): void => {
    if (event.key !== "ArrowDown" || event.isComposing) return; // the arrow chooses among characters
    event.preventDefault();
    onDown();
  };
  return (
    <search class="toolbar">
      <form class="search-form" onSubmit={submit}>
        <label class="field field-search">
          <span class="visually-hidden">{m.search_words}</span>
          <Icon name="search" size={16} />
          <input
            ref={box}
            type="search"
            maxLength={500}
            defaultValue={searchedText.value}
            key={searchedText.value}
            placeholder={m.search_words_hint}
            onKeyDown={move}
          />
        </label>
        <button type="submit" class="button">
          {m.search}
        </button>
      </form>
      <label class="field">
        <span class="field-label">{m.search_in}</span>
        <select value={searchPlace.value} onChange={(event) => set(searchPlace, event.currentTarget.value as Place)}>
          {PLACES.map((place) => (
            <option key={place} value={place}>
              {m[`search_in_${place}`]}
            </option>
          ))}
        </select>
      </label>
      <NameFilter label={m.filter_feeds} all={m.all_feeds} names={feedNames()} chosen={searchFeed} />
      <label class="field">
        <span class="visually-hidden">{m.search_time}</span>
        <select value={searchTime.value} onChange={(event) => set(searchTime, event.currentTarget.value as Time)}>
          {TIMES.map((time) => (
            <option key={time} value={time}>
              {m[`search_time_${time}`]}
            </option>
          ))}
        </select>
      </label>
      {searchTime.value === "between" && (
        <>
          <TimeField label={m.search_from} chosen={searchFrom} />
          <TimeField label={m.search_to} chosen={searchTo} />
          <span class="muted">{formats.value.zone()}</span>
        </>
      )}
      <span class="toolbar-status">
        {isSearching.value ? m.searching : found.value && m.moments_found(found.value.moments.length)}
      </span>
    </search>
  );
}

function TimeField({ label, chosen }: { label: string; chosen: typeof searchFrom }): JSX.Element {
  return (
    <label class="field">
      <span class="field-label">{label}</span>
      <input
        type="datetime-local"
        step="1"
        value={chosen.value}
        onChange={(event) => set(chosen, event.currentTarget.value)}
      />
    </label>
  );
}
