import { z } from 'zod';
import type { Watts } from '../units.ts';

export type PlugKind = 'shelly' | 'shelly_gen1' | 'tasmota' | 'home_assistant';

/** What an answer tells; a figure that it does not is null. */
export interface PlugFigures {
  readonly watts: Watts | null;
  readonly wattHours: number | null;
}

/** Where a kind of plug is asked, below its address, and what its answers mean. */
export interface PlugSpeech {
  address(url: URL, token: string | null): URL;
  /** What goes with the first request; a digest can only follow a challenge. */
  headers(token: string | null): Readonly<Record<string, string>>;
  /** Null for an answer that holds no reading. */
  read(answer: unknown): PlugFigures | null;
}

export const PLUGS: Readonly<Record<PlugKind, PlugSpeech>> = {
  shelly: {
    address: (url) => below(url, 'rpc/Switch.GetStatus', { id: '0' }),
    headers: () => ({}),
    read: (answer) => {
      const told = shelly.safeParse(answer).data;
      return told === undefined ? null : { watts: told.apower ?? null, wattHours: told.aenergy?.total ?? null };
    },
  },
  shelly_gen1: {
    address: (url) => below(url, 'status'),
    headers: (token) => (token === null ? {} : { authorization: `Basic ${base64(`admin:${token}`)}` }),
    read: (answer) => {
      const meter = shellyGen1.safeParse(answer).data?.meters[0];
      if (meter === undefined || meter.is_valid === false) return null;
      // Counted in watt-minutes.
      return { watts: meter.power ?? null, wattHours: meter.total === undefined ? null : meter.total / 60 };
    },
  },
  tasmota: {
    address: (url, token) =>
      below(url, 'cm', { ...(token === null ? {} : { user: 'admin', password: token }), cmnd: 'Status 8' }),
    headers: () => ({}),
    read: (answer) => {
      const energy = tasmota.safeParse(answer).data?.StatusSNS.ENERGY;
      if (energy === undefined) return null;
      return { watts: energy.Power ?? null, wattHours: energy.Total === undefined ? null : energy.Total * 1000 };
    },
  },
  home_assistant: {
    address: (url) => url,
    headers: (token) => (token === null ? {} : { authorization: `Bearer ${token}` }),
    read: (answer) => {
      const sensor = homeAssistant.safeParse(answer).data;
      if (sensor === undefined || !/^-?\d+(\.\d+)?$/.test(sensor.state)) return null;
      const unit = UNITS[sensor.attributes.unit_of_measurement];
      if (unit === undefined) return null;
      const value = Number(sensor.state) * unit.times;
      return unit.of === 'power' ? { watts: value, wattHours: null } : { watts: null, wattHours: value };
    },
  },
};

const shelly = z.object({ apower: z.number().optional(), aenergy: z.object({ total: z.number() }).optional() });
const shellyGen1 = z.object({
  meters: z.array(
    z.object({ power: z.number().optional(), total: z.number().optional(), is_valid: z.boolean().optional() }),
  ),
});
/** A plug with several meters answers lists; such a one is not understood. */
const tasmota = z.object({
  StatusSNS: z.object({ ENERGY: z.object({ Power: z.number().optional(), Total: z.number().optional() }).optional() }),
});
/** A state is a string, and `unavailable` or `unknown` while there is none. */
const homeAssistant = z.object({ state: z.string(), attributes: z.object({ unit_of_measurement: z.string() }) });

const UNITS: Readonly<Record<string, { readonly of: 'power' | 'energy'; readonly times: number }>> = {
  W: { of: 'power', times: 1 },
  kW: { of: 'power', times: 1000 },
  Wh: { of: 'energy', times: 1 },
  kWh: { of: 'energy', times: 1000 },
  MWh: { of: 'energy', times: 1_000_000 },
};

function below(url: URL, path: string, query: Readonly<Record<string, string>> = {}): URL {
  const address = new URL(url);
  address.pathname = `${url.pathname.replace(/\/$/, '')}/${path}`;
  // Tasmota wants %20 for the blank in a command.
  address.search = Object.entries(query)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  return address;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
