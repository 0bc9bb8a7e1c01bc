import type { Receipt } from '../ports.ts';
import type { Request } from './request.ts';
import { a1111Sampler } from './sampler.ts';

export interface ParametersOptions {
  /** Program and version, as in `kilnwatt 0.1.0`. */
  readonly version: string;
  readonly modelName: string;
  /** What the picture took, in the receipt's figures; left out where the user wants no cost in pictures. */
  readonly cost?: Pick<Receipt, 'energy' | 'cost'>;
}

/**
 * The text that A1111 puts into a picture: prompt, negative prompt, and one line of settings that begins
 * with `Steps: `. Other programs read it back with simple rules, so that whatever would lead them astray
 * is changed a little here; the exact request is in our own part of the metadata.
 */
export function parametersText(request: Request, options: ParametersOptions): string {
  const lines = [[harmless(request.prompt), ...request.loras.map(extraNetwork)].join(' ')];
  if (request.negativePrompt !== '') lines.push(`Negative prompt: ${harmless(request.negativePrompt)}`);
  const settings = settingsOf(request, options).filter(([, value]) => value !== null);
  return [...lines, settings.map(([name, value]) => `${name}: ${value}`).join(', ')].join('\n');
}

function settingsOf(
  request: Request,
  { version, modelName, cost: took }: ParametersOptions,
): [string, string | number | null][] {
  const { sampler, schedule } = a1111Sampler(request);
  const loras = request.loras.map(({ name, hash }) => `${loraName(name)}: ${shortHash(hash)}`).join(', ');
  return [
    ['Steps', request.steps],
    ['Sampler', sampler],
    ['Schedule type', schedule],
    ['CFG scale', request.guidance],
    ['Distilled CFG Scale', request.distilledGuidance],
    ['Seed', request.seed],
    ['Size', `${request.width}x${request.height}`],
    ['Model hash', shortHash(request.modelHash)],
    ['Model', value(modelName)],
    ['VAE hash', request.vae === null ? null : shortHash(request.vae)],
    ['Denoising strength', request.strength],
    ['Clip skip', request.clipSkip === 0 ? null : request.clipSkip + 1],
    ['Lora hashes', loras === '' ? null : JSON.stringify(loras)],
    ['Version', value(version)],
    ['Energy', took?.energy.joules == null ? null : `${took.energy.joules} J ${took.energy.method}`],
    [
      'Cost',
      took?.cost.amount == null ? null : `${decimal(took.cost.amount)} ${took.cost.currency} ${took.cost.method}`,
    ],
  ];
}

/** As A1111's users write it into their prompts. */
function extraNetwork({ name, weight }: Request['loras'][number]): string {
  return `<lora:${loraName(name)}:${weight}>`;
}

function loraName(name: string): string {
  return value(name).replaceAll(/[<>]/g, '_');
}

/**
 * A line of a prompt that begins like a line of settings would be taken for one, and `Negative prompt:`
 * anywhere begins the negative prompt for some readers. A blank before the colon is enough for all.
 */
function harmless(text: string): string {
  return text
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/^(\s*)(Steps|Template|Negative Template): /gim, '$1$2 : ')
    .replaceAll(/Negative prompt:/gi, (word) => word.replace(':', ' :'));
}

/** Never in exponents. */
function decimal(amount: number): string {
  return amount.toFixed(9).replace(/\.?0+$/, '');
}

/** A quoted value is lost in some readers, so that nothing that would need quotes is left in one. */
function value(text: string): string {
  return text.replaceAll(/[,:"\r\n\t]+/g, '_').trim();
}

/** A1111 shows the first ten digits. */
function shortHash(hash: string): string {
  return hash.replace(/^sha256:/, '').slice(0, 10);
}
