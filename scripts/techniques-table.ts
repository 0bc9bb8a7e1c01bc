/** Writes docs/techniques.md from the data that the program itself goes by. Run it after a change of that data. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RULES } from '../src/preset/combinations.ts';
import { TECHNIQUES, type Technique } from '../src/preset/techniques.ts';

export const PAGE = join(import.meta.dirname, '..', 'docs', 'techniques.md');

/** What `scripts/bench-techniques` wrote down. */
const RECORD = join(import.meta.dirname, '..', 'bench', 'records', 'techniques.json');
const recordSchema = z.object({
  prompts: z.number(),
  plain_accuracy: z.number(),
  variants: z.array(
    z.object({
      name: z.string(),
      psnr_db: z.object({ worst: z.number().nullable(), median: z.number().nullable() }).optional(),
      accuracy: z.number().nullable().optional(),
    }),
  ),
});

const GROUPS: readonly (readonly [title: string, fields: readonly string[]])[] = [
  ['Precision', ['dtype', 'vae_dtype', 'tf32', 'fp16_accumulation']],
  ['Attention', ['attention', 'fused_qkv']],
  ['Memory', ['offload', 'vae_slicing', 'vae_tiling', 'allocator', 'prompt_cache']],
  ['Speed', ['channels_last', 'compile', 'compile_mode', 'buckets', 'step_cache', 'step_cache_strength', 'decoder']],
  ['Fewer bits', ['quantize', 'quantize_text']],
  ['LoRA', ['lora_rank']],
  ['Samplers', ['scheduler', 'schedule']],
];

/** The whole page. */
export function techniquesPage(): string {
  const record = recordSchema.parse(JSON.parse(readFileSync(RECORD, 'utf8')));
  const counts = (['cpu', 'gpu-record', 'none yet'] as const).map(
    (proof) => TECHNIQUES.filter((technique) => technique.proof === proof).length,
  );
  return [
    '# Techniques',
    '',
    `Every setting of a preset that is not neutral. ${counts[0]} are shown in effect by a test on a processor, ${counts[1]} by the newest`,
    `record of a card in \`bench/records\`, ${counts[2]} by nothing yet. What one is worth is as it was published, with its source; no figure`,
    'on this page was measured by us on a card. "Exact" pictures are those of the plain pipeline but for rounding.',
    '',
    `Where it was tried, "pictures" also says how near those of the model in the box are to the plain pipeline's on a processor, by the`,
    `furthest of ${record.prompts} (PSNR in dB; 40 is out of sight), and how many show what was asked for; ${percent(record.plain_accuracy)} of the plain ones do.`,
    'That is from `bench/records/techniques.json`, which `scripts/bench-techniques` writes.',
    '',
    'This page is made by `node scripts/techniques-table.ts` from `src/preset/techniques.json` and',
    '`python-worker/kilnwatt_worker/combinations.json`; change those.',
    ...GROUPS.flatMap((group) => groupOf(group, record)),
    '',
    '## What cannot hold together',
    '',
    'Refused by name, before anything is loaded.',
    '',
    '| settings | because | instead | source |',
    '| --- | --- | --- | --- |',
    ...RULES.map((rule) => row([`${settingsOf(rule)}${rule.where}`, rule.because, rule.instead, rule.source])),
    '',
  ].join('\n');
}

type Tried = z.infer<typeof recordSchema>;

function groupOf([title, fields]: (typeof GROUPS)[number], tried: Tried): readonly string[] {
  const head = ['', `## ${title}`, '', '| setting | does | worth | source | pictures | proof | needs |'];
  const rows = TECHNIQUES.filter(({ field }) => fields.includes(field)).map((technique) => rowOf(technique, tried));
  return [...head, '| --- | --- | --- | --- | --- | --- | --- |', ...rows];
}

function rowOf(technique: Technique, tried: Tried): string {
  const { field, value, title, worth, evidence, proof, test, extra } = technique;
  const shown = proof === 'cpu' ? `cpu: ${testName(test)}` : proof;
  return row([`\`${field}: ${value}\``, title, worth, evidence, picturesOf(technique, tried), shown, extra ?? '']);
}

function picturesOf({ id, exact }: Technique, tried: Tried): string {
  const claim = exact ? 'exact' : 'other';
  const found = tried.variants.find(({ name }) => name === id);
  if (found?.psnr_db === undefined) return claim;
  const near = found.psnr_db.worst === null ? 'equal' : `${Math.floor(found.psnr_db.worst)} dB`;
  return found.accuracy == null ? `${claim}: ${near}` : `${claim}: ${near}, ${percent(found.accuracy)} right`;
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

/** Of `path/to/test_x.py::test_that_it_holds`, the file's name and the sentence. */
function testName(test: string | null): string {
  const [file = '', name = ''] = (test ?? '').split('::');
  return `\`${file.slice(file.lastIndexOf('/') + 1)}\` ${name.replace(/^test_/, '').replaceAll('_', ' ')}`;
}

function settingsOf({ when, unless }: (typeof RULES)[number]): string {
  const some = Object.entries(when).map(([field, values]) => `\`${field}\`: ${values.join(', ')}`);
  const none = Object.entries(unless).map(([field, values]) => `\`${field}\`: not ${values.join(', ')}`);
  return [...some, ...none].join('; ');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`.replaceAll('|  |', '| |');
}

if (import.meta.main) writeFileSync(PAGE, techniquesPage());
