/** Writes docs/techniques.md from the data that the program itself goes by. Run it after a change of that data. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RULES } from '../src/preset/combinations.ts';
import { TECHNIQUES, type Technique } from '../src/preset/techniques.ts';

export const PAGE = join(import.meta.dirname, '..', 'docs', 'techniques.md');

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
    'This page is made by `node scripts/techniques-table.ts` from `src/preset/techniques.json` and',
    '`python-worker/kilnwatt_worker/combinations.json`; change those.',
    ...GROUPS.flatMap(groupOf),
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

function groupOf([title, fields]: (typeof GROUPS)[number]): readonly string[] {
  const head = ['', `## ${title}`, '', '| setting | does | worth | source | exact | proof | needs |'];
  const rows = TECHNIQUES.filter(({ field }) => fields.includes(field)).map(rowOf);
  return [...head, '| --- | --- | --- | --- | --- | --- | --- |', ...rows];
}

function rowOf({ field, value, title, exact, worth, evidence, proof, test, extra }: Technique): string {
  const shown = proof === 'cpu' ? `cpu: ${testName(test)}` : proof;
  return row([`\`${field}: ${value}\``, title, worth, evidence, exact ? 'yes' : 'no', shown, extra ?? '']);
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
