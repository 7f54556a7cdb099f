import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get } from "../../api/client";
import type { LetterBody, LetterRow } from "../../api/shapes";
import { Dialog } from "../../components/dialog";
import { explained } from "../../state/session";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

/** A look at a dead record: its headers, and the beginning of its value, as text or byte by byte. */
export function LetterDialog({ letter, onClose }: { letter: LetterRow; onClose: () => void }): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  const [body, setBody] = useState<LetterBody | null>(null);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    get<LetterBody>(`dead/${letter.partition}/${letter.offset}`).then(setBody, (reason: unknown) =>
      setFailure(explained(reason)),
    );
  }, [letter]);
  return (
    <Dialog title={`${m.letter} ${letter.partition}/${letter.offset}`} onClose={onClose} wide>
      <p class="letter-reason">
        <b>{letter.reason}</b>: <bdi>{letter.text}</bdi>
      </p>
      {failure && (
        <p class="bad" role="alert">
          {failure}
        </p>
      )}
      {body && (
        <>
          <h3>{m.headers}</h3>
          <dl class="pairs">
            {body.headers.map(({ name, value }) => (
              <div key={name}>
                <dt>
                  <bdi>{name}</bdi>
                </dt>
                <dd>
                  <bdi>{value}</bdi>
                </dd>
              </div>
            ))}
          </dl>
          <h3>
            {m.body} <span class="muted">{m.body_cut(f.bytes(body.bytes_shown), f.bytes(letter.bytes))}</span>
          </h3>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
          {/* biome-ignore lint/a11y/useSemanticElements: a section takes no preformatted text */}
          <pre class="code" tabIndex={0} role="region" aria-label={m.body}>
            {body.text ?? grouped(body.hexadecimal)}
          </pre>
        </>
      )}
    </Dialog>
  );
}

/** Sixteen bytes a line. */
function grouped(hexadecimal: string): string {
  const bytes = hexadecimal.replace(/\s+/g, "").match(/../g) ?? [];
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) lines.push(bytes.slice(at, at + 16).join(" "));
  return lines.join("\n");
}
