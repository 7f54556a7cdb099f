/** Colours of canvases, which style sheets do not reach: read from the variables of the theme. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Colours of series that are told apart by colour-blind people too (Okabe and Ito), in the order of use. */
export const SERIES_VARIABLES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"] as const;
