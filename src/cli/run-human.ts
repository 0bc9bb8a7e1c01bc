import { relative } from 'node:path';
import pc from 'picocolors';
import type { CostFigures } from '../cost/summary.ts';
import type { Clock, Receipt } from '../ports.ts';
import { counted, energy, money, seconds, significant, whole } from './figures.ts';
import type { Io } from './io.ts';
import type { ImageMade, JobChanged, Part, Reporter, RunEvent, RunStarted, RunSummary } from './run-events.ts';
import { Tally } from './tally.ts';

export interface HumanOptions {
  readonly io: Io;
  readonly clock: Clock;
  readonly cwd: string;
  /** Which figures of the bill are assumed, and how to set them; printed under it. */
  assumptions(bill: RunSummary): readonly string[];
}

/** Of a prompt, where no terminal says how wide a line may be. */
const PROMPT_WIDTH = 40;

/** One line a picture, one live line at the bottom where there is a terminal, and the bill at the end. */
export function humanReporter(options: HumanOptions): Reporter {
  const { io } = options;
  const tally = new Tally(options.clock);
  let started: RunStarted | null = null;
  let rests: string | null = null;
  const draw = () => {
    if (started !== null && started.to_make > 0 && io.isTTY) io.live(liveLine(started, { tally, rests }, io.columns));
  };
  return {
    event(event) {
      if (event.event === 'run') started = event;
      if (event.event === 'image' && !event.cached) tally.add(event.receipt);
      if (event.event === 'failure') tally.failed += 1;
      for (const line of linesOf(event, options)) io.out(line);
      draw();
    },
    note(text) {
      io.err(text);
      draw();
    },
    rests(why) {
      rests = why;
      if (why === null) tally.rest.end();
      else tally.rest.begin();
      draw();
    },
    tick: draw,
    close: () => io.live(''),
  };
}

function linesOf(event: RunEvent, options: HumanOptions): readonly string[] {
  const color = pc.createColors(options.io.color);
  switch (event.event) {
    case 'run':
      return startLines(event);
    case 'job':
      return event.state === 'planned' ? [plannedLine(event, options, color)] : [];
    case 'image':
      return event.cached ? [] : [imageLine(event, options, color)];
    case 'failure':
      return [
        `${color.red('failed')} ${shortId(event.id)}  ${event.code}: ${event.message}  ${color.dim(clip(event.prompt, 40))}`,
      ];
    case 'summary':
      return billLines(event, options);
  }
}

function startLines(event: RunStarted): readonly string[] {
  const parts = [`${whole(event.to_make)} to make`];
  if (event.cached > 0) parts.push(`${whole(event.cached)} done before`);
  if (event.failed > 0) parts.push(`${whole(event.failed)} failed before (--retry-failed tries them again)`);
  if (event.removed > 0) parts.push(`${whole(event.removed)} no longer asked for (their pictures stay)`);
  return [`${event.resumed ? 'Going on with' : 'Run'} ${event.name}: ${parts.join(', ')}`];
}

function plannedLine(event: JobChanged, { cwd }: HumanOptions, color: ReturnType<typeof pc.createColors>): string {
  return `would make  ${relative(cwd, event.path)}  seed ${event.seed}  ${color.dim(clip(event.prompt, 2 * PROMPT_WIDTH))}`;
}

function imageLine(event: ImageMade, { io, cwd }: HumanOptions, color: ReturnType<typeof pc.createColors>): string {
  const { receipt } = event;
  const path = event.path === null ? '' : relative(cwd, event.path);
  const taken = receipt === null ? '' : takenBy(receipt);
  const room = io.isTTY ? io.columns - `done${taken}  ${path}  `.length : PROMPT_WIDTH;
  return `${color.green('done')}${taken}  ${path}  ${color.dim(clip(event.prompt, room))}`.trimEnd();
}

/** Time, energy and money in columns. */
function takenBy({ seconds: took, energy: used, cost }: Receipt): string {
  const price = money(cost.amount, cost.currency, cost.method);
  return [seconds(took.share).padStart(9), energy(used.joules, used.method).padStart(12), price.padStart(18)].join('');
}

function liveLine(
  run: RunStarted,
  { tally, rests }: { readonly tally: Tally; readonly rests: string | null },
  columns: number,
): string {
  const settled = tally.images + tally.failed;
  const left = tally.secondsFor(run.to_make - settled);
  const { total, perThousand } = tally.bill;
  const mark = total.energy.method === 'measured' ? '' : '~';
  const parts: (readonly [rank: number, text: string])[] = [
    [7, `${Math.floor((settled / run.to_make) * 100)}%`],
    [0, `${settled}/${run.to_make}`],
    [3, `${whole(tally.imagesPerHour)}/h`],
    [2, rests ?? (left === null ? 'starting' : `${seconds(left)} left`)],
  ];
  if (tally.failed > 0) parts.push([1, `${tally.failed} failed`]);
  if (tally.watts !== null) parts.push([6, `${mark}${whole(tally.watts)} W`]);
  if (perThousand !== null) {
    const { joules, unknowns } = total.energy;
    const used = joules === null ? '?' : `${mark}${significant(joules / 3_600_000)} kWh`;
    parts.push([5, atLeast(used, unknowns)], [4, costOf(total)], [2, `${costOf(perThousand)}/1,000`]);
  }
  return fitting(parts, columns - 1);
}

/** In their order; what does not fit is left out, highest rank first, because half a figure is a wrong one. */
function fitting(parts: readonly (readonly [rank: number, text: string])[], room: number): string {
  const line = parts.map(([, text]) => text).join('  ');
  if (line.length <= room || parts.length === 1) return clip(line, room);
  const dropped = parts.reduce((least, [rank], at) => (rank >= (parts[least]?.[0] ?? 0) ? at : least), 0);
  return fitting(parts.toSpliced(dropped, 1), room);
}

function billLines(event: RunSummary, options: HumanOptions): readonly string[] {
  const { pictures, overhead } = event.parts;
  const rows = [
    ['', 'time', 'energy', 'cost'],
    ['pictures', ...figuresOf(pictures)],
    ['loading and overhead', ...figuresOf(overhead)],
    ['in all', ...figuresOf({ ...event, seconds: pictures.seconds + overhead.seconds })],
    ...(event.per_thousand === null ? [] : [['per 1,000, without loading', ...figuresOf(event.per_thousand)]]),
  ];
  const waited =
    event.waited_seconds < 1 ? '' : `, of which it waited for cheap electricity for ${seconds(event.waited_seconds)}`;
  const took = event.images === 0 ? '' : ` in ${seconds(event.seconds)}${waited}`;
  const facts = [
    `${counted(event.images, 'picture')} made${took}`,
    `${whole(event.cached)} done before`,
    `${whole(event.failed)} failed`,
  ];
  if (event.left > 0) facts.push(`${whole(event.left)} left`);
  if (event.images > 0)
    facts.push(`${whole(event.images_per_hour)} an hour`, `batches of ${event.mean_batch.toFixed(1)}`);
  return [
    '',
    `${event.name}: ${facts.join(', ')}`,
    ...(event.images === 0 ? [] : table(rows)),
    ...(event.images === 0 ? [] : options.assumptions(event)),
    `The pictures are in ${event.out_dir}`,
    ...(event.contact_sheet === null ? [] : [`All of them on one sheet: ${event.contact_sheet}`]),
  ];
}

function figuresOf(part: Part): string[] {
  const { joules, method, unknowns } = part.energy;
  return [seconds(part.seconds), atLeast(energy(joules, method), unknowns), costOf(part)];
}

function costOf({ cost: { amount, currency, method, unknowns } }: Pick<CostFigures, 'cost'>): string {
  return atLeast(money(amount, currency, method), unknowns);
}

/** A sum that does not hold everything says so; one of which nothing is known says only that. */
function atLeast(figure: string, unknowns: number): string {
  return unknowns > 0 && figure !== '?' ? `at least ${figure}` : figure;
}

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart((widths[at] ?? 0) + 2)))
      .join('')
      .trimEnd(),
  );
}

function shortId(id: string): string {
  return id.slice(id.lastIndexOf('-') + 1);
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}…`;
}
