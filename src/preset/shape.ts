import type { Request } from '../job/request.ts';

/**
 * What of a request decides how much memory its picture takes, and its time: true guidance means two passes at once, and
 * LoRAs are weights, and work in each layer, besides the model's.
 */
export function shapeOf(request: Pick<Request, 'width' | 'height' | 'guidance' | 'loras'>): string {
  return `${sizeOf(request)}${isGuided(request) ? '+cfg' : ''}${request.loras.length > 0 ? '+lora' : ''}`;
}

export function sizeOf({ width, height }: Pick<Request, 'width' | 'height'>): string {
  return `${width}x${height}`;
}

export function isGuided({ guidance }: Pick<Request, 'guidance'>): boolean {
  return guidance > 1;
}
