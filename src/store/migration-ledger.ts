/**
 * The step of the schema that makes a whole ledger of the entries: when and on which card energy was burnt, the marks of
 * the meters, what cards did between batches, charges, the prices that rows name, and sums by quarter of an hour.
 *
 * Sums are kept by triggers, so that they are right whoever writes a row, and a month of a million rows is read from a
 * few thousand. `''` stands there for a key that a row does not have: unique keys never agree on NULL.
 */

/** A row counts in the quarter of its last millisecond: a stretch from 10:00 to 10:15 belongs to the quarter of 10:00. */
const ENDED_ENTRY = 'coalesce(max(from_at, to_at - 1), at)';
const ENDED_STRETCH = 'max(from_at, to_at - 1)';
const QUARTER = 900_000;

/**
 * Those of rows from before this step were not sorted. Never in what stays in the file: before 3.44, as on Debian 12,
 * SQLite cannot read it, and would refuse the whole file.
 */
const SORTED_TAGS = '(SELECT json_group_object(key, value ORDER BY key) FROM json_each(tags))';
const BOUND = "CAST(round(json_extract(details, '$.energy.bound_joules') * 1000) AS INTEGER)";

/** 1 for a row of which it cannot be told whether other programs burnt a part of it. */
const UNTOLD = `(instr(flags, '"sharing_unknown"') > 0)`;

/** Name and value of each key and figure of a row of sums, by table. */
const SUMMED = {
  entries: {
    slot: `${ENDED_ENTRY} - ${ENDED_ENTRY} % ${QUARTER}`,
    kind: 'kind',
    cause: "coalesce(cause, '')",
    service: 'provider',
    model: 'model',
    preset: 'preset',
    run: "coalesce(run_id, '')",
    tags: 'tags',
    gpu: "coalesce(gpu, '')",
    currency: 'currency',
    energy_method: 'energy_method',
    cost_method: 'cost_method',
    energy_mj: 'energy_mj',
    bound_mj: BOUND,
    untold: UNTOLD,
    untold_mj: `coalesce(energy_mj, 0) * ${UNTOLD}`,
    cost_nano: 'cost_nano',
    seconds: 'seconds_share',
  },
  stretches: {
    slot: `${ENDED_STRETCH} - ${ENDED_STRETCH} % ${QUARTER}`,
    kind: 'kind',
    cause: 'cause',
    service: "'electricity'",
    model: "''",
    preset: "''",
    run: "''",
    tags: "'{}'",
    gpu: 'gpu',
    currency: 'currency',
    energy_method: 'energy_method',
    cost_method: 'cost_method',
    energy_mj: 'energy_mj',
    bound_mj: 'bound_mj',
    untold: UNTOLD,
    untold_mj: `coalesce(energy_mj, 0) * ${UNTOLD}`,
    cost_nano: 'cost_nano',
    seconds:
      "CASE WHEN corrects IS NULL AND cause NOT IN ('compile', 'warmup') THEN (to_at - from_at) / 1000.0 ELSE 0.0 END",
  },
  charges: {
    slot: `at - at % ${QUARTER}`,
    kind: 'kind',
    cause: "''",
    service: 'service',
    model: "''",
    preset: "''",
    run: "''",
    tags: 'tags',
    gpu: "''",
    currency: 'currency',
    energy_method: "'measured'",
    cost_method: 'cost_method',
    energy_mj: '0',
    bound_mj: '0',
    untold: '0',
    untold_mj: '0',
    cost_nano: 'cost_nano',
    seconds: '0.0',
  },
} as const;

type Source = keyof typeof SUMMED;

/** Runs may be as many as pictures, so that they are a key of one table of sums only. */
const SUMS = { sums: ['run'], sums_of_runs: [] } as const;
type Sums = keyof typeof SUMS;

function sumsTable(name: Sums): string {
  const texts = ['kind', 'cause', 'service', 'model', 'preset', 'run', 'tags', 'gpu', 'currency', 'energy_method'];
  const keys = [...texts, 'cost_method'].filter((key) => !SUMS[name].some((left) => left === key));
  return `
  CREATE TABLE ${name} (
    slot INTEGER NOT NULL,
    ${keys.map((key) => `${key} TEXT NOT NULL`).join(', ')},
    entries INTEGER NOT NULL,
    energy_mj INTEGER,
    bound_mj INTEGER,
    untold INTEGER NOT NULL,
    untold_mj INTEGER NOT NULL,
    cost_nano INTEGER,
    seconds REAL NOT NULL,
    squares REAL,
    least_nano INTEGER,
    most_nano INTEGER,
    PRIMARY KEY (slot, ${keys.join(', ')})
  ) STRICT, WITHOUT ROWID;`;
}

const SQUARE = '(cost_nano / 1e9) * (cost_nano / 1e9)';
const ADDED = ['entries', 'energy_mj', 'bound_mj', 'untold', 'untold_mj', 'cost_nano', 'seconds', 'squares'];

/**
 * Adds rows to the sums. Within a group energy and cost are NULL in all rows or in none, as the methods are keys; a bound
 * is NULL as soon as one row has none.
 */
function addToSums(sums: Sums, source: Source, rows: string, values: { readonly tags?: string } = {}): string {
  const columns = Object.entries({ ...SUMMED[source], ...values }).filter(
    ([key]) => !SUMS[sums].some((left) => left === key),
  );
  return `
    INSERT INTO ${sums} (${columns.map(([name]) => name).join(', ')}, entries, squares, least_nano, most_nano)
    SELECT ${columns.map(([, value]) => value).join(', ')}, 1, ${SQUARE}, cost_nano, cost_nano
    FROM ${source} WHERE ${rows}
    ON CONFLICT DO UPDATE SET
      ${ADDED.map((name) => `${name} = ${name} + excluded.${name}`).join(', ')},
      least_nano = min(least_nano, excluded.least_nano), most_nano = max(most_nano, excluded.most_nano);`;
}

function summed(source: Source): string {
  const own = 'rowid = NEW.rowid';
  return `
  CREATE TRIGGER ${source}_are_summed AFTER INSERT ON ${source} BEGIN
    ${addToSums('sums', source, own)} ${addToSums('sums_of_runs', source, own)}
  END;`;
}

const NO_CHANGE = "RAISE(ABORT, 'the ledger is append-only: book a correction instead')";

function appendOnly(table: string): string {
  return `
  CREATE TRIGGER ${table}_are_never_changed BEFORE UPDATE ON ${table} BEGIN SELECT ${NO_CHANGE}; END;
  CREATE TRIGGER ${table}_are_never_deleted BEFORE DELETE ON ${table} BEGIN SELECT ${NO_CHANGE}; END;`;
}

/** In marks their places stand for them: never change the order, and add at the end. */
export const DOINGS = ['off', 'rest', 'resident', 'work', 'load', 'batch'] as const;

/**
 * Marks are the most of a ledger by far, one in ten seconds for each card: so they are one table without an index beside
 * it, with numbers in the place of names. The view `journal` has the names.
 */
const TABLES = `
  ALTER TABLE entries ADD COLUMN gpu TEXT;
  ALTER TABLE entries ADD COLUMN from_at INTEGER;
  ALTER TABLE entries ADD COLUMN to_at INTEGER CHECK (
    (from_at IS NULL) = (to_at IS NULL) AND (gpu IS NULL OR to_at IS NOT NULL) AND (to_at IS NULL OR from_at <= to_at));
  DROP INDEX entries_by_time;
  CREATE INDEX entries_by_writing ON entries (seq, at, from_at, to_at);
  CREATE INDEX entries_by_batch ON entries (batch_id);
  CREATE INDEX entries_by_card ON entries (gpu, to_at) WHERE gpu IS NOT NULL;

  CREATE TABLE cards (
    id INTEGER PRIMARY KEY,
    gpu TEXT NOT NULL UNIQUE,
    last_mark INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE launches (
    id INTEGER PRIMARY KEY,
    launch TEXT NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE marks (
    card_id INTEGER NOT NULL REFERENCES cards,
    at INTEGER NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    launch_id INTEGER NOT NULL REFERENCES launches,
    counter_mj INTEGER CHECK (counter_mj >= 0),
    integral_mj INTEGER CHECK (integral_mj >= 0),
    integral_bound_mj INTEGER CHECK (integral_bound_mj >= 0),
    "foreign" REAL CHECK ("foreign" BETWEEN 0 AND 1),
    doing INTEGER NOT NULL CHECK (doing BETWEEN 0 AND ${DOINGS.length - 1}),
    batch_id TEXT,
    PRIMARY KEY (card_id, at, number),
    CHECK ((integral_mj IS NULL) = (integral_bound_mj IS NULL)),
    CHECK (doing NOT IN (${DOINGS.indexOf('load')}, ${DOINGS.indexOf('batch')}) OR batch_id IS NOT NULL)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER marks_are_numbered AFTER INSERT ON marks BEGIN
    UPDATE cards SET last_mark = max(last_mark, NEW.number) WHERE id = NEW.card_id;
  END;
  CREATE TRIGGER cards_keep_their_names BEFORE UPDATE OF id, gpu ON cards BEGIN SELECT ${NO_CHANGE}; END;
  CREATE TRIGGER cards_are_never_deleted BEFORE DELETE ON cards BEGIN SELECT ${NO_CHANGE}; END;

  CREATE TABLE stretches (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    gpu TEXT NOT NULL,
    from_at INTEGER NOT NULL,
    to_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    batch_id TEXT,
    energy_mj INTEGER,
    bound_mj INTEGER CHECK (bound_mj >= 0),
    energy_method TEXT NOT NULL,
    meter TEXT NOT NULL,
    flags TEXT NOT NULL CHECK (json_valid(flags)),
    cost_nano INTEGER,
    currency TEXT NOT NULL,
    cost_method TEXT NOT NULL,
    price TEXT NOT NULL,
    corrects TEXT,
    CHECK (from_at <= to_at),
    CHECK (
      (kind = 'overhead' AND cause IN ('lost', 'compile', 'warmup')) OR
      (kind = 'idle' AND cause IN ('resident', 'no_context', 'between')) OR
      (kind = 'foreign' AND cause IN ('process', 'load', 'shared')) OR
      (kind = 'unknown' AND cause IN ('off', 'unread', 'shared'))),
    CHECK ((energy_mj IS NULL) = (energy_method = 'unknown')),
    CHECK ((cost_nano IS NULL) = (cost_method = 'unknown')),
    CHECK (corrects IS NOT NULL OR energy_mj IS NULL OR energy_mj >= 0)
  ) STRICT;
  CREATE INDEX stretches_by_writing ON stretches (seq, from_at, to_at);
  CREATE INDEX stretches_by_batch ON stretches (batch_id) WHERE batch_id IS NOT NULL;
  CREATE INDEX stretches_by_card ON stretches (gpu, to_at);

  CREATE TABLE charges (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    service TEXT NOT NULL CHECK (service <> ''),
    resource_type TEXT NOT NULL,
    quantity REAL NOT NULL,
    unit_cost REAL NOT NULL,
    cost_nano INTEGER NOT NULL,
    currency TEXT NOT NULL,
    cost_method TEXT NOT NULL CHECK (cost_method <> 'unknown'),
    meter TEXT NOT NULL,
    tags TEXT NOT NULL CHECK (json_valid(tags)),
    corrects TEXT,
    CHECK (
      (kind = 'charge' AND cost_nano >= 0) OR
      (kind = 'credit' AND cost_nano <= 0) OR
      (kind = 'correction' AND corrects IS NOT NULL))
  ) STRICT;
  CREATE INDEX charges_by_writing ON charges (seq, at);

  CREATE TABLE prices (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    body TEXT NOT NULL CHECK (json_valid(body))
  ) STRICT;`;

const TEXT = 'CAST(NULL AS TEXT)';
const INTEGER = 'CAST(NULL AS INTEGER)';
const NOTHING = 'CAST(0 AS INTEGER)';

function text(constant: string): string {
  return `CAST('${constant}' AS TEXT)`;
}

const ELECTRICITY = `
      ${text('electricity')} AS resource_type, CAST(energy_mj / 3.6e9 AS REAL) AS quantity,
      CAST((cost_nano / 1e9) / nullif(energy_mj / 3.6e9, 0) AS REAL) AS unit_cost,
      CAST(cost_nano / 1e9 AS REAL) AS total_cost, currency, cost_method, energy_mj`;

/** The charges among the rows of the ledger. */
const CHARGED = `
    SELECT id, seq, at, kind, ${TEXT} AS cause, service, resource_type, quantity, unit_cost,
      CAST(cost_nano / 1e9 AS REAL) AS total_cost, currency, cost_method, ${NOTHING} AS energy_mj, ${NOTHING} AS bound_mj,
      ${text('measured')} AS energy_method, meter, ${text('[]')} AS flags, ${TEXT} AS price, ${TEXT} AS run_id,
      ${TEXT} AS job_id, ${TEXT} AS batch_id, ${TEXT} AS gpu, ${INTEGER} AS from_at, ${INTEGER} AS to_at, ${TEXT} AS device,
      ${TEXT} AS model, ${TEXT} AS preset, CAST(0 AS REAL) AS seconds, tags, corrects
    FROM charges`;

/** All parts have the same types, or SQLite would sort all rows for each page of a few. */
const VIEWS = `
  CREATE VIEW ledger AS
    SELECT id, seq, at, kind, cause, provider AS service, ${ELECTRICITY}, ${BOUND} AS bound_mj, energy_method, meter, flags,
      price, run_id, job_id, batch_id, gpu, from_at, to_at, device, model, preset, seconds_share AS seconds, tags,
      ${TEXT} AS corrects
    FROM entries
    UNION ALL
    SELECT id, seq, to_at, kind, cause, ${text('electricity')}, ${ELECTRICITY}, bound_mj, energy_method, meter, flags,
      price, ${TEXT}, ${TEXT}, batch_id, gpu, from_at, to_at, ${TEXT}, ${TEXT}, ${TEXT},
      CAST(${SUMMED.stretches.seconds} AS REAL), ${text('{}')}, corrects
    FROM stretches
    UNION ALL
    ${CHARGED};

  CREATE VIEW charged AS
    ${CHARGED};

  CREATE VIEW journal AS
    SELECT gpu, number, at, launch, counter_mj, integral_mj, integral_bound_mj, "foreign",
      CASE doing ${DOINGS.map((word, place) => `WHEN ${place} THEN '${word}'`).join(' ')} END AS doing, batch_id
    FROM marks JOIN cards ON cards.id = card_id JOIN launches ON launches.id = launch_id;

  DROP VIEW costs;
  CREATE VIEW costs AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS timestamp, service, resource_type, quantity,
      unit_cost, total_cost, currency, kind, cause
    FROM ledger;`;

export const WHOLE_LEDGER = [
  TABLES,
  sumsTable('sums'),
  sumsTable('sums_of_runs'),
  VIEWS,
  ...['marks', 'launches', 'stretches', 'charges', 'prices'].map(appendOnly),
  ...(['entries', 'stretches', 'charges'] as const).map(summed),
  addToSums('sums', 'entries', 'true', { tags: SORTED_TAGS }),
  addToSums('sums_of_runs', 'entries', 'true', { tags: SORTED_TAGS }),
].join('\n');
