import type { JSX } from "preact";
import type { Answer, ReviewEvent } from "../../api/shapes";
import { Dialog } from "../../components/dialog";
import { messages } from "../../text/messages";

/** One answer that shall hold for several events. */
export interface GroupAnswer {
  readonly events: readonly ReviewEvent[];
  readonly value: Answer;
}

interface GroupDialogProps {
  readonly given: GroupAnswer;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

/** Ask before several events are answered: the head of prompts is trained with each answer. Enter confirms. */
export function GroupDialog({ given, onConfirm, onClose }: GroupDialogProps): JSX.Element | null {
  const m = messages.value;
  const [first] = given.events;
  if (!first) return null;
  return (
    <Dialog title={m.answer_group} onClose={onClose}>
      <p>{m.answer_group_question(given.events.length, first.prompt ?? "", first.feed, m[given.value])}</p>
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={onClose}>
          {m.cancel}
        </button>
        <button type="button" class="button button-primary" autofocus onClick={onConfirm}>
          {m.answer_group_n(given.events.length, m[given.value])}
        </button>
      </div>
    </Dialog>
  );
}
