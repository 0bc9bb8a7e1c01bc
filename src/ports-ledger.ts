/** The ledger besides pictures: marks of the meters, stretches between batches, charges, and sums over all of it. Types only. */
import type { EnergyFlag, EnergyReading } from './ports-job.ts';
import type { EpochMillis, Method, Millijoules, MoneyFigure, Seconds } from './units.ts';

/**
 * A reading of a card's energy: the raw journal that the ledger is checked against. Marks of a card, in the order of
 * their times, cut all time into stretches.
 */
export interface NewMark {
  /** UUID of the card. */
  readonly gpu: string;
  readonly at: EpochMillis;
  /** Of the process that wrote it. The stretch to a mark of another launch is one that nobody watched. */
  readonly launch: string;
  /** The card's own counter since its driver was loaded; null where it has none, or did not answer. */
  readonly counter: Millijoules | null;
  /** Samples of power since the mark before, added up; null where there were none. */
  readonly integral: { readonly millijoules: Millijoules; readonly bound: Millijoules } | null;
  /** The part of the stretch before it that others burnt, 0 … 1; null where that cannot be told. */
  readonly foreign: number | null;
  /** What begins here. */
  readonly after: Doing;
  /** For `load` and `batch`: whose. */
  readonly batchId: string | null;
}

/**
 * `off`: nobody watches; `rest`: no worker has the card; `resident`: a worker has it and nothing to do; `work`: a batch is
 * under way, and its windows are not told yet; `load`, `batch`: a window of it, as its worker told afterwards.
 */
export type Doing = 'off' | 'rest' | 'resident' | 'work' | 'load' | 'batch';

export interface Mark extends NewMark {
  /** In the order of writing, 1, 2, 3 … for each card: one that is missing was dropped. */
  readonly number: number;
}

/** What a card burnt while no batch's window was open. */
export interface Stretch {
  readonly id: string;
  readonly gpu: string;
  readonly from: EpochMillis;
  readonly to: EpochMillis;
  readonly kind: 'overhead' | 'idle' | 'foreign' | 'unknown';
  /**
   * `lost`: a batch that was never settled; `compile`, `warmup`: what the first step of a batch took over the others. Idle: with a model resident, with no worker, or between two windows of a batch.
   * Foreign: another `process`, or `load` while ours rested, or beside ours (`shared`). Unknown: nobody watched (`off`), the
   * meters were silent (`unread`), or others worked beside ours and their part cannot be told (`shared`).
   */
  readonly cause:
    | 'lost'
    | 'compile'
    | 'warmup'
    | 'resident'
    | 'no_context'
    | 'between'
    | 'process'
    | 'load'
    | 'shared'
    | 'off'
    | 'unread';
  readonly batchId: string | null;
  /** Negative in a correction of one that was booked before. */
  readonly millijoules: Millijoules | null;
  readonly bound: Millijoules | null;
  readonly method: Method;
  readonly meter: EnergyReading['meter'];
  readonly flags: readonly EnergyFlag[];
  readonly cost: MoneyFigure;
  readonly price: string;
  /** Id of the stretch that this one corrects; null for one that stands for itself. */
  readonly corrects: string | null;
}

/** Written in one transaction. */
export interface MeterBooking {
  readonly marks: readonly NewMark[];
  readonly stretches: readonly Stretch[];
}

/** Where the chain of a card ends. */
export interface Chain {
  readonly gpu: string;
  /** The last mark that all energy up to is booked; null where nothing is. */
  readonly booked: Mark | null;
  /** After it, in the order of their times. */
  readonly open: readonly Mark[];
}

/** What a batch has booked so far on a card: entries and stretches of it, and adopted pictures. */
export interface BatchBooking {
  readonly millijoules: Millijoules;
  /** Of that, what entries have that name no card: pictures that were found after a kill. */
  readonly adopted: Millijoules;
  readonly entries: number;
  /**
   * The stretch `lost` that was booked for it, if one was. Of several the last one that has energy: loads come before it,
   * and it is the one in which its pictures were made.
   */
  readonly lost: Stretch | null;
}

/** Money that left the account for something else than electricity: a subscription, a bill, an API. */
export interface Charge {
  readonly id: string;
  readonly at: EpochMillis;
  readonly kind: 'charge' | 'credit' | 'correction';
  /** As the user names it: `midjourney`, `runpod`. */
  readonly service: string;
  /** `subscription`, `gpu_hour`, `image` … */
  readonly resourceType: string;
  /** At most nine decimals. */
  readonly quantity: number;
  /** Of one; `amount` is quantity x unit cost to the nearest billionth, negative for a credit. */
  readonly unitCost: number;
  readonly amount: number;
  readonly currency: string;
  readonly method: Method;
  readonly meter: 'provider_usage' | 'list_price' | 'invoice';
  readonly tags: Readonly<Record<string, string>>;
  /** Id of what it corrects. */
  readonly corrects: string | null;
}

/** What a price was when something was priced with it. Entries name it, and are never priced again. */
export interface PriceSnapshot {
  readonly id: string;
  readonly at: EpochMillis;
  /** Where it comes from: `config`, `default`, a URL. */
  readonly source: string;
  /** The tariff as plain JSON. */
  readonly body: string;
}

export const SUM_KEYS = ['slot', 'service', 'model', 'preset', 'run', 'tags', 'gpu'] as const;
export type SumKey = (typeof SUM_KEYS)[number];

export type LedgerKind = 'active' | 'overhead' | 'idle' | 'foreign' | 'unknown' | 'charge' | 'credit' | 'correction';

/**
 * A group of rows of the ledger. Rows of different kind, cause, currency or methods are never in one group; those keys of
 * {@link SumKey} that were not asked for are null.
 */
export interface LedgerSum {
  /** Begin of the quarter of an hour, UTC, in which the rows' time ended: for a stretch up to 10:15 that of 10:00. */
  readonly slot: EpochMillis | null;
  /** A provider, `electricity` for stretches, or the service of a charge. */
  readonly service: string | null;
  readonly model: string | null;
  readonly preset: string | null;
  readonly run: string | null;
  /** Of the run and its entries, as JSON with sorted names. */
  readonly tags: string | null;
  readonly gpu: string | null;
  readonly kind: LedgerKind;
  readonly cause: string | null;
  readonly currency: string;
  readonly energyMethod: Method;
  readonly costMethod: Method;
  readonly entries: number;
  /** Null where the energy method is `unknown`; charges have 0, measured. */
  readonly millijoules: Millijoules | null;
  /** Null where any of the rows has none: what is unknown is not exact. */
  readonly bound: Millijoules | null;
  /** Rows flagged `sharing_unknown`: whether other programs burnt a part of theirs cannot be told. */
  readonly untold: number;
  /** Of `millijoules`, what is of those rows. */
  readonly untoldMillijoules: Millijoules;
  readonly nano: bigint | null;
  readonly seconds: Seconds;
  /** Of the amounts, in units of the currency: for the spread. */
  readonly squares: number;
  readonly leastNano: bigint | null;
  readonly mostNano: bigint | null;
}

export interface LedgerSpan {
  readonly from: EpochMillis;
  /** Not included. */
  readonly to: EpochMillis;
}

/** A row of the ledger, whatever it is of, as it is exported. Names are those of the columns. */
export interface LedgerRow {
  readonly id: string;
  readonly seq: number;
  readonly at: EpochMillis;
  readonly kind: LedgerKind;
  readonly cause: string | null;
  readonly service: string;
  readonly resource_type: string;
  /** Kilowatt-hours of energy, or what was charged. */
  readonly quantity: number | null;
  readonly unit_cost: number | null;
  readonly total_cost: number | null;
  readonly currency: string;
  readonly cost_method: Method;
  readonly energy_mj: Millijoules | null;
  readonly bound_mj: Millijoules | null;
  readonly energy_method: Method;
  readonly meter: string;
  readonly flags: readonly string[];
  readonly price: string | null;
  readonly run_id: string | null;
  readonly job_id: string | null;
  readonly batch_id: string | null;
  readonly gpu: string | null;
  readonly from_at: EpochMillis | null;
  readonly to_at: EpochMillis | null;
  readonly device: string | null;
  readonly model: string | null;
  readonly preset: string | null;
  readonly seconds: Seconds;
  readonly tags: Readonly<Record<string, string>>;
  readonly corrects: string | null;
}
