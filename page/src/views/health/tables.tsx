import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import type { HealthBody } from "../../api/shapes";
import { Icon } from "../../components/icons";
import { Scroller } from "../../components/scroller";
import { addressOf } from "../../router";
import { nowMs } from "../../state/clock";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

interface TableProps {
  readonly title: string;
  readonly columns: readonly { readonly name: string; readonly isNumber?: boolean }[];
  readonly rows: readonly { readonly key: string; readonly cells: readonly ComponentChildren[] }[];
}

/** The first cell of a row is its heading. */
export function Table({ title, columns, rows }: TableProps): JSX.Element {
  const titleId = useId();
  return (
    <section class="panel" aria-labelledby={titleId}>
      <h2 id={titleId}>{title}</h2>
      {rows.length === 0 ? (
        <p class="muted">{messages.value.no_rows}</p>
      ) : (
        <Scroller class="table-scroller" name={title}>
          <table>
            <thead>
              <tr>
                {columns.map(({ name, isNumber }) => (
                  <th key={name} scope="col" class={isNumber ? "number" : ""}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map(({ key, cells: [head, ...rest] }) => (
                <tr key={key}>
                  <th scope="row">{head}</th>
                  {rest.map((cell, index) => (
                    <td key={columns[index + 1]?.name} class={columns[index + 1]?.isNumber ? "number" : ""}>
                      {cell}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
    </section>
  );
}

export function Topics({ topics }: { topics: HealthBody["topics"] }): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  return (
    <Table
      title={m.topics}
      columns={[
        { name: m.topic },
        { name: m.partitions, isNumber: true },
        { name: m.records_n, isNumber: true },
        { name: m.end_offset, isNumber: true },
      ]}
      rows={topics.map(({ topic, partitions, records, end_offset }) => ({
        key: topic,
        cells: [<bdi>{topic}</bdi>, f.number(partitions), f.number(records), f.number(end_offset)],
      }))}
    />
  );
}

export function Groups({ groups }: { groups: HealthBody["groups"] }): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  return (
    <Table
      title={m.groups}
      columns={[{ name: m.group }, { name: m.members, isNumber: true }, { name: m.lag, isNumber: true }]}
      rows={groups.map(({ group, members, lag }) => ({
        key: group,
        cells: [<bdi>{group}</bdi>, f.number(members), lag === null ? "–" : f.number(lag)],
      }))}
    />
  );
}

export function Models({ models }: { models: HealthBody["models"] }): JSX.Element {
  const m = messages.value;
  return (
    <Table
      title={m.models}
      columns={[{ name: m.model }, { name: "SHA-256" }, { name: m.feeds, isNumber: true }]}
      rows={models.map(({ name, version, sha256, feeds }) => ({
        key: sha256,
        cells: [<bdi>{`${name} ${version}`}</bdi>, <code>{sha256.slice(0, 12)}</code>, formats.value.number(feeds)],
      }))}
    />
  );
}

export function Producers({ producers }: { producers: HealthBody["producers"] }): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  return (
    <Table
      title={m.producers}
      columns={[{ name: m.feed }, { name: m.newest }, { name: m.unread, isNumber: true }]}
      rows={producers.map(({ feed, ended, tracks, unread }) => ({
        key: feed,
        cells: [
          <a href={addressOf({ view: "feed", feed, atMs: null })}>
            <bdi>{feed}</bdi>
          </a>,
          <span class="tracks">
            {tracks.map((track) => (
              <span key={track.modality} class="track" title={m[track.modality]}>
                <Icon name={track.modality} size={14} />
                <span class="visually-hidden">{m[track.modality]}: </span>
                {track.ended ? m.ended : f.duration((nowMs.value - track.appended_ms) / 1_000)}
              </span>
            ))}
            {ended && <span class="chip chip-quiet chip-small">{m.ended}</span>}
          </span>,
          f.number(unread),
        ],
      }))}
    />
  );
}

export function Redis({ redis }: { redis: HealthBody["redis"] }): JSX.Element {
  const m = messages.value;
  return (
    <section class="panel" aria-labelledby="redis-title">
      <h2 id="redis-title">{m.redis}</h2>
      {!redis.used && <p class="muted">{m.redis_not_used}</p>}
      {redis.used && redis.error && <p class="bad">{redis.error}</p>}
      {redis.used && !redis.error && <p>{m.redis_well(redis.feeds ?? 0)}</p>}
    </section>
  );
}
