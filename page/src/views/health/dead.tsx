import type { JSX } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { get, post } from "../../api/client";
import type { HealthBody, LetterRow, LettersBody, RedriveBody } from "../../api/shapes";
import { Dialog } from "../../components/dialog";
import { Icon } from "../../components/icons";
import { Scroller } from "../../components/scroller";
import { notify } from "../../state/announcements";
import { explained, mayOperate } from "../../state/session";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { LetterDialog } from "./letter";

const LIMIT = 100;

interface DeadLettersProps {
  readonly counts: HealthBody["dead"];
  readonly onRedriven: () => Promise<void>;
}

/** Dead letters by reason; a look at one, and redrive for operators. */
export function DeadLetters({ counts, onRedriven }: DeadLettersProps): JSX.Element {
  const m = messages.value;
  const [reason, setReason] = useState("");
  const [letters, setLetters] = useState<LettersBody | null>(null);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [shown, setShown] = useState<LetterRow | null>(null);
  const [isAsking, setAsking] = useState(false);
  const total = counts.reduce((sum, { n }) => sum + n, 0);

  const load = useCallback(async (): Promise<void> => {
    try {
      setLetters(await get<LettersBody>("dead", { reason, limit: LIMIT }));
    } catch (failure) {
      notify("bad", explained(failure));
    }
  }, [reason]);
  useEffect(() => {
    void load();
  }, [load, total]);

  const selected = letters?.letters.filter((letter) => letter.can_redrive && chosen.has(nameOf(letter))) ?? [];
  const redrive = async (): Promise<void> => {
    setAsking(false);
    try {
      const body = { letters: selected.map(({ partition, offset }) => ({ partition, offset })) };
      const done = await post<RedriveBody>("dead/redrive", body);
      if (done.redriven > 0) notify("good", m.redriven(done.redriven));
      const others = done.failed + done.skipped;
      if (others > 0) notify("bad", m.redrive_skipped(others, done.reasons.join("; ")));
      setChosen(new Set());
    } catch (failure) {
      notify("bad", explained(failure));
    }
    await Promise.all([load(), onRedriven()]);
  };
  const choose = (names: readonly string[], isChosen: boolean): void => {
    const next = new Set(chosen);
    for (const name of names) isChosen ? next.add(name) : next.delete(name);
    setChosen(next);
  };

  return (
    <section class="panel" aria-labelledby="dead-title">
      <header class="panel-head">
        <h2 id="dead-title">{m.dead_letters}</h2>
        <button
          type="button"
          class="button button-primary"
          disabled={selected.length === 0 || !mayOperate.value}
          title={mayOperate.value ? undefined : m.redrive_needs_role}
          onClick={() => setAsking(true)}
        >
          {selected.length === 0 ? m.redrive : m.redrive_n(selected.length)}
        </button>
      </header>
      <Reasons counts={counts} total={total} reason={reason} onChoose={setReason} />
      {letters && letters.letters.length > 0 ? (
        <Letters letters={letters} chosen={chosen} onChoose={choose} onLook={setShown} />
      ) : (
        <p class="muted">{m.no_dead}</p>
      )}
      {shown && <LetterDialog letter={shown} onClose={() => setShown(null)} />}
      {isAsking && (
        <Dialog title={m.redrive} onClose={() => setAsking(false)}>
          <p>{m.redrive_question(selected.length)}</p>
          <div class="dialog-buttons">
            <button type="button" class="button" onClick={() => setAsking(false)}>
              {m.cancel}
            </button>
            <button type="button" class="button button-primary" onClick={() => void redrive()}>
              {m.redrive_n(selected.length)}
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

function nameOf(letter: LetterRow): string {
  return `${letter.partition}/${letter.offset}`;
}

interface ReasonsProps {
  readonly counts: HealthBody["dead"];
  readonly total: number;
  readonly reason: string;
  readonly onChoose: (reason: string) => void;
}

function Reasons({ counts, total, reason, onChoose }: ReasonsProps): JSX.Element {
  const m = messages.value;
  const all = [{ reason: "", n: total }, ...counts];
  return (
    <fieldset class="reasons">
      <legend class="visually-hidden">{m.reason}</legend>
      {all.map((count) => (
        <button
          key={count.reason}
          type="button"
          class="chip chip-button"
          aria-pressed={reason === count.reason}
          onClick={() => onChoose(count.reason)}
        >
          <bdi>{count.reason || m.show_all}</bdi> <b>{formats.value.number(count.n)}</b>
        </button>
      ))}
    </fieldset>
  );
}

interface LettersProps {
  readonly letters: LettersBody;
  readonly chosen: ReadonlySet<string>;
  readonly onChoose: (names: readonly string[], isChosen: boolean) => void;
  readonly onLook: (letter: LetterRow) => void;
}

function Letters({ letters, chosen, onChoose, onLook }: LettersProps): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  const names = letters.letters.filter(({ can_redrive }) => can_redrive).map(nameOf);
  const areAllChosen = names.length > 0 && names.every((name) => chosen.has(name));
  return (
    <>
      <Scroller class="table-scroller letters" name={m.dead_letters}>
        <table>
          <thead>
            <tr>
              <th scope="col">
                <input
                  type="checkbox"
                  aria-label={m.select_all}
                  checked={areAllChosen}
                  disabled={names.length === 0}
                  onChange={(event) => onChoose(names, event.currentTarget.checked)}
                />
              </th>
              <th scope="col">{m.reason}</th>
              <th scope="col">{m.feed}</th>
              <th scope="col">{m.topic}</th>
              <th scope="col">{m.time}</th>
              <th scope="col" class="number">
                {m.size}
              </th>
              <th scope="col">{m.state}</th>
              <th scope="col">
                <span class="visually-hidden">{m.look}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {letters.letters.map((letter) => (
              <tr key={nameOf(letter)}>
                <td>
                  <input
                    type="checkbox"
                    aria-label={m.select_letter(nameOf(letter))}
                    checked={chosen.has(nameOf(letter))}
                    disabled={!letter.can_redrive}
                    onChange={(event) => onChoose([nameOf(letter)], event.currentTarget.checked)}
                  />
                </td>
                <td title={letter.text}>
                  <bdi>{letter.reason}</bdi>
                </td>
                <td>
                  <bdi>{letter.feed}</bdi>
                </td>
                <td>
                  <bdi>{letter.topic}</bdi>
                </td>
                <td>{f.moment(letter.appended_ms)}</td>
                <td class="number">{f.bytes(letter.bytes)}</td>
                <td>{m[`letter_${letter.state}`]}</td>
                <td>
                  <button
                    type="button"
                    class="button button-quiet button-small"
                    aria-label={m.look_at(nameOf(letter))}
                    onClick={() => onLook(letter)}
                  >
                    <Icon name="search" size={14} />
                    {m.look}
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
      {letters.total > letters.letters.length && (
        <p class="muted">{m.letters_shown(letters.letters.length, letters.total)}</p>
      )}
    </>
  );
}
