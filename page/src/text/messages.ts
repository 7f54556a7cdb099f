import { computed } from "@preact/signals";
import { language } from "../state/preferences";
import { en } from "./en";
import { zh } from "./zh";

/** Each message of the catalogue, in any language: a missing key or another signature is a type error. */
export type Messages = {
  readonly [Key in keyof typeof en]: (typeof en)[Key] extends (...values: infer Values) => string
    ? (...values: Values) => string
    : string;
};

const CATALOGUES: Readonly<Record<"en" | "zh", Messages>> = { en, zh };

/** The messages in the language that is chosen now. A component that reads `.value` is drawn again when it changes. */
export const messages = computed<Messages>(() => CATALOGUES[language.value]);
