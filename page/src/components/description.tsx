import type { JSX } from "preact";
import type { DescriptionBody } from "../api/shapes";
import { formats } from "../text/format";
import { messages } from "../text/messages";

/** What a vision-language model wrote about a window. */
export function Description({ description }: { description: DescriptionBody }): JSX.Element {
  const m = messages.value;
  const { title, what_happens, who, answers, confidence, model, language } = description;
  return (
    <section class="description" aria-label={m.description} lang={language}>
      <p class="description-title" dir="auto">
        {title}
      </p>
      <p dir="auto">{what_happens}</p>
      {who.length > 0 && <p dir="auto">{who.join(" · ")}</p>}
      {answers.map(({ question, answer }) => (
        <p key={question} dir="auto">
          <b>{question}</b> {answer}
        </p>
      ))}
      <p class="muted">
        <bdi>{model}</bdi>
        {confidence !== null && ` · ${formats.value.percent(confidence)}`}
      </p>
    </section>
  );
}
