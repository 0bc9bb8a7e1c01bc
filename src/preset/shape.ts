import type { Request } from '../job/request.ts';

/** What of a request decides how much memory its picture takes: true guidance means two passes at once. */
export function shapeOf(request: Pick<Request, 'width' | 'height' | 'guidance'>): string {
  return `${sizeOf(request)}${isGuided(request) ? '+cfg' : ''}`;
}

export function sizeOf({ width, height }: Pick<Request, 'width' | 'height'>): string {
  return `${width}x${height}`;
}

export function isGuided({ guidance }: Pick<Request, 'guidance'>): boolean {
  return guidance > 1;
}
