import type { Receipt } from '../ports.ts';
import { gibibytes } from '../telemetry/gibibytes.ts';
import { counted, seconds, significant } from './figures.ts';

type Line = readonly [name: string, text: string];

/** With what a picture was made and how fast, a line each; nothing of what its receipt does not know. */
export function makingOf(receipt: Receipt): readonly Line[] {
  const { preset, device, batch, downgrades = [] } = receipt;
  return [
    ['preset', `${preset} on ${device}, ${counted(batch.size, 'picture')} in the batch`],
    ...downgrades.map(({ setting, asked, in_effect, reason }): Line => {
      return ['gave way', `${setting}: ${in_effect} instead of ${asked}, because ${reason}`];
    }),
    ...stepsOf(receipt),
    ...workOf(receipt),
    ...peaksOf(receipt),
  ];
}

function stepsOf({ steps }: Receipt): readonly Line[] {
  if (steps === undefined) return [];
  return [['steps', `${counted(steps.count, 'step')}, ${seconds(steps.median_seconds)} each (the median)`]];
}

function workOf({ work }: Receipt): readonly Line[] {
  if (work === undefined) return [];
  const { teraflops, mfu, graphs, cached_prompts: cached } = work;
  const parts = [
    ...(teraflops === null ? [] : [`${significant(teraflops)} TFLOP in the batch`]),
    ...(mfu === null ? [] : [`MFU ${Math.round(mfu * 100)} %`]),
    ...(graphs === 0 ? [] : [`${counted(graphs, 'graph')} compiled`]),
    ...(cached === 0 ? [] : [`${counted(cached, 'prompt')} from the cache`]),
  ];
  return parts.length === 0 ? [] : [['denoiser', parts.join(', ')]];
}

function peaksOf({ peaks }: Receipt): readonly Line[] {
  if (peaks === undefined) return [];
  const parts = (
    [
      ['in tensors', peaks.allocated_bytes],
      ['reserved', peaks.reserved_bytes],
      ['of the card', peaks.device_bytes],
    ] as const
  ).flatMap(([what, bytes]) => (bytes === null ? [] : [`${gibibytes(bytes)} ${what}`]));
  return parts.length === 0 ? [] : [['peak', parts.join(', ')]];
}
