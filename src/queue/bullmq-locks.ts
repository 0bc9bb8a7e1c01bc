import { randomUUID } from 'node:crypto';
import type { Millis } from '../units.ts';
import { lockOf, type Producer } from './bullmq-commands.ts';

/** What is in hand, and under whose lock, at one moment. */
export interface ActiveJobs {
  /** By job id: the token of the lock, or null where it has expired. */
  readonly tokens: ReadonlyMap<string, string | null>;
  /** Of the held ones with their tokens, those that another worker has now, or that are gone. */
  readonly lost: ReadonlyMap<string, string>;
  readonly waiting: number;
}

/**
 * Keeps the locks of jobs in hand. One that has expired, because the server or this process was away, is taken again
 * if nobody else has taken the job meanwhile: what is under way need not be thrown away then.
 */
const KEEP_AND_LOOK = `
local prefix, duration, renewBelow = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lost = {}
for at = 4, #ARGV, 2 do
  local id, token = ARGV[at], ARGV[at + 1]
  local lock = prefix .. id .. ':lock'
  local holder = redis.call('GET', lock)
  if holder == token then
    if redis.call('PTTL', lock) < renewBelow then redis.call('PEXPIRE', lock, duration) end
  elseif not holder and redis.call('LPOS', KEYS[1], id) then
    redis.call('SET', lock, token, 'PX', duration)
  else
    lost[#lost + 1] = { id, token }
  end
end
local active = redis.call('LRANGE', KEYS[1], 0, -1)
local tokens = {}
for at, id in ipairs(active) do tokens[at] = redis.call('GET', prefix .. id .. ':lock') end
return { lost, active, tokens, redis.call('ZCARD', KEYS[2]) + redis.call('LLEN', KEYS[3]) }
`;

export async function keepLocks(
  { redis, queue }: Producer,
  held: ReadonlyMap<string, string>,
  lockDuration: Millis,
): Promise<ActiveJobs> {
  const keys = ['active', 'prioritized', 'wait'].map((name) => queue.toKey(name));
  const settings = [queue.toKey(''), lockDuration, Math.round((lockDuration * 3) / 4)];
  const [lost, active, tokens, waiting] = (await redis.eval(
    KEEP_AND_LOOK,
    keys.length,
    ...keys,
    ...settings,
    ...[...held].flat(),
  )) as [[string, string][], string[], (string | null)[], number];
  return { lost: new Map(lost), waiting, tokens: new Map(active.map((id, at) => [id, tokens[at] ?? null])) };
}

/** Back to the front of its level. False if it is no longer active under this lock, which is then left alone. */
export async function giveBackLocked({ queue }: Producer, id: string, token: string): Promise<boolean> {
  try {
    await queue.getBackend().moveJobFromActiveToWait(id, token);
    return true;
  } catch (error) {
    if (isOvertaken(error)) return false;
    throw error;
  }
}

/** The same for a job whose lock has expired: the lock is taken first, so that its holder cannot come back meanwhile. */
export async function giveBackUnlocked(producer: Producer, id: string, lockDuration: Millis): Promise<boolean> {
  const token = `sweep:${randomUUID()}`;
  const taken = await producer.redis.set(lockOf(producer.queue, id), token, 'PX', lockDuration, 'NX');
  return taken !== null && (await giveBackLocked(producer, id, token));
}

/** BullMQ's answer where a job is gone, or was taken by another, before a command about it came. */
export function isOvertaken(error: unknown): boolean {
  const overtaken = /^(Missing key|Missing lock|Lock mismatch) for job|is not in the active/;
  return error instanceof Error && overtaken.test(error.message);
}
