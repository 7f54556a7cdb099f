import type { JSX } from "preact";
import { mayAsk, maySearch } from "../state/session";
import { messages } from "../text/messages";
import { Dialog } from "./dialog";

export function HelpDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const m = messages.value;
  const groups: [string, [string[], string][]][] = [
    [
      m.help_everywhere,
      [
        [["1", "2", "3"], m.help_1_3],
        ...(maySearch.value ? [[["4"], m.search] as [string[], string]] : []),
        ...(mayAsk.value ? [[["5"], m.ask] as [string[], string]] : []),
        [["/"], m.help_slash],
        [["?"], m.help_question],
        [[m.escape_key], m.help_escape],
      ],
    ],
    [
      m.wall,
      [
        [[m.arrow_keys], m.help_wall_arrows],
        [[m.enter_key], m.help_wall_enter],
      ],
    ],
    [
      m.feed,
      [
        [["←", "→"], m.help_feed_arrows],
        [["+", "−"], m.help_feed_zoom],
        [["[", "]"], m.help_feed_windows],
        [[m.space_key], m.help_feed_play],
        [["l"], m.help_feed_live],
      ],
    ],
    [
      m.events,
      [
        [["j", "k"], m.help_events_next],
        [["y", "n"], m.help_events_answer],
        [["⇧y", "⇧n"], m.help_events_group],
        [[m.enter_key], m.help_events_open],
      ],
    ],
  ];
  if (maySearch.value) {
    groups.push([
      m.search,
      [
        [["j", "k"], m.help_search_next],
        [[m.enter_key], m.help_events_open],
      ],
    ]);
  }
  if (mayAsk.value) {
    groups.push([
      m.ask,
      [
        [["j", "k"], m.help_search_next],
        [[m.enter_key], m.help_events_open],
        [[m.escape_key], m.ask_cancel],
      ],
    ]);
  }
  return (
    <Dialog title={m.help} onClose={onClose}>
      <div class="help">
        {groups.map(([title, keys]) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>
              {keys.map(([names, what]) => (
                <div key={what}>
                  <dt>
                    {names.map((name) => (
                      <kbd key={name}>{name}</kbd>
                    ))}
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
