import type { Method } from '../units.ts';

/** Figures as people read them. An assumed or derived figure carries `~`, an unknown one is `?`. */

export function seconds(value: number): string {
  if (value < 0.0995) return `${(value * 1000).toFixed(0)} ms`;
  if (value < 9.95) return `${value.toFixed(2)} s`;
  if (value < 120) return `${value.toFixed(0)} s`;
  if (value < 7200) return `${Math.floor(value / 60)} min ${String(Math.floor(value % 60)).padStart(2, '0')} s`;
  return `${Math.floor(value / 3600)} h ${String(Math.floor((value % 3600) / 60)).padStart(2, '0')} min`;
}

export function energy(joules: number | null, method: Method): string {
  if (joules === null) return '?';
  if (joules < 10_000) return `${mark(method)}${significant(joules)} J`;
  return `${mark(method)}${significant(joules / 3_600_000)} kWh`;
}

export function money(amount: number | null, currency: string, method: Method): string {
  return amount === null ? '?' : `${mark(method)}${significant(amount)} ${currency}`;
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `1 picture`, `2 pictures`. */
export function counted(count: number, noun: string): string {
  return `${whole(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Three significant digits, never in exponents. */
export function significant(value: number): string {
  if (value === 0) return '0';
  const digits = Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
  return value.toFixed(digits);
}

function mark(method: Method): string {
  return method === 'measured' ? '' : '~';
}
