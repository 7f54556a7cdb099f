/** Names of parts of the generated types. */
import type {
  FeedTile,
  WindowBody as GeneratedWindowBody,
  HealthFinding,
  LetterRow,
  SearchedMoment,
  SessionBody,
  TileModalities,
} from "../generated/api";
import type { Result } from "../generated/result";

export type {
  AskBody,
  CitedMoment,
  DescriptionBody,
  EvidenceRow,
  FeedTile,
  HealthBody,
  HealthCounts,
  HealthFinding,
  LetterBody,
  LetterRow,
  LettersBody,
  ModalityShares,
  PictureLink,
  RedriveBody,
  ReviewBody,
  ReviewEvent,
  SearchBody,
  SearchedMoment,
  SeenBox,
  SeenLabel,
  SessionBody,
  SpokenWords,
  TimelineBody,
  TimelineWindow,
  WallBody,
} from "../generated/api";
export type FoundReason = SearchedMoment["why"][number];
export type { Result } from "../generated/result";

/** The body of a window, with its result typed by the schema of results. */
export type WindowBody = Omit<GeneratedWindowBody, "result"> & { readonly result: Result };
export type Attention = FeedTile["attention_why"][number];
export type ModalityName = keyof TileModalities;
export type ModalityState = TileModalities[ModalityName];
export type Severity = HealthFinding["severity"];
export type LetterState = LetterRow["state"];
export type Role = SessionBody["roles"][number];
export type Answer = "yes" | "no";
export const MODALITIES: readonly ModalityName[] = ["video", "audio", "text"];
