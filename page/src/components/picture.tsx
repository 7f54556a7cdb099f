import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { resolved } from "../api/client";
import type { PictureLink, SeenBox } from "../api/shapes";
import { messages } from "../text/messages";
import { Icon } from "./icons";

/** Boxes that begin higher have no room for their name above them, as a share of the picture. */
const NAME_ABOVE = 0.1;

interface Shown {
  readonly url: string;
  readonly ratio: number;
  readonly boxes: readonly SeenBox[];
  readonly alt: string;
}

interface PictureProps {
  readonly picture: PictureLink | null;
  readonly boxes?: readonly SeenBox[];
  readonly alt: string;
  /** In CSS pixels: the server reduces the picture to it. */
  readonly width: number;
  /** Names of the boxes are drawn too. */
  readonly named?: boolean;
}

/** A picture reduced to a multiple of 160 pixels, so that the server and the browser keep few sizes of each. */
export function pictureAddress(picture: PictureLink, cssWidth: number): string {
  const pixels = Math.min(1920, Math.ceil((cssWidth * Math.min(devicePixelRatio, 2)) / 160) * 160);
  const url = resolved(picture.url);
  return `${url}${url.includes("?") ? "&" : "?"}width=${pixels}`;
}

/**
 * A picture and the boxes of what is seen on it.
 *
 * Picture and boxes change together, once the new picture is there; while one loads, further ones wait, and only the
 * newest of them is loaded next.
 */
export function Picture({ picture, boxes = [], alt, width, named = false }: PictureProps): JSX.Element {
  const [shown, setShown] = useState<Shown | null>(null);
  const wanted = useRef<{ url: string; shown: Omit<Shown, "ratio"> } | null>(null);
  const loading = useRef(false);
  const isMounted = useRef(true);

  useEffect(() => {
    isMounted.current = true;
    return () => {
      isMounted.current = false;
    };
  }, []);

  const url = picture ? pictureAddress(picture, width) : "";
  useEffect(() => {
    if (!url) {
      setShown(null);
      return;
    }
    wanted.current = { url, shown: { url, boxes, alt } };
    const loadNext = (): void => {
      const next = wanted.current;
      if (loading.current || next === null || !isMounted.current) return;
      wanted.current = null;
      loading.current = true;
      const image = new Image();
      image.onload = () => {
        loading.current = false;
        if (isMounted.current) setShown({ ...next.shown, ratio: image.naturalWidth / image.naturalHeight });
        loadNext();
      };
      image.onerror = () => {
        loading.current = false; // not kept any more: the last one stays, as the state of the modality says why
        loadNext();
      };
      image.src = next.url;
    };
    loadNext();
    // The boxes of a window come with its picture: `url` changes with them.
  }, [url]);

  return (
    <div class="picture">
      {shown ? (
        <div
          class={shown.ratio >= 16 / 9 ? "picture-fit picture-wide" : "picture-fit picture-high"}
          style={{ aspectRatio: String(shown.ratio) }}
        >
          <img src={shown.url} alt={shown.alt} decoding="async" draggable={false} />
          <Boxes boxes={shown.boxes} named={named} />
        </div>
      ) : (
        <div class="picture-none">
          <Icon name="video" size={22} />
          <span>{messages.value.no_picture}</span>
        </div>
      )}
    </div>
  );
}

function Boxes({ boxes, named }: { boxes: readonly SeenBox[]; named: boolean }): JSX.Element {
  return (
    <div class="boxes" aria-hidden="true">
      {boxes.map(({ label, track, box: [left, top, right, bottom] }, index) => (
        <div
          key={track ?? `${label}${index}`}
          class={`box box-${label === "person" || label === "face" ? "person" : "object"}`}
          style={{
            left: `${left * 100}%`,
            top: `${top * 100}%`,
            width: `${(right - left) * 100}%`,
            height: `${(bottom - top) * 100}%`,
          }}
        >
          {named && <span class={top < NAME_ABOVE ? "box-name box-name-inside" : "box-name"}>{label}</span>}
        </div>
      ))}
    </div>
  );
}
