import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ConfigError, UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { checksOf, isNewEnough, requireFit, type ServerFacts } from '../../src/queue/fitness.ts';
import {
  connectTo,
  isConnectionTrouble,
  reconnectDelay,
  redisServer,
  unavailable,
} from '../../src/queue/redis-server.ts';

describe('where the server is', () => {
  it.each([
    ['redis://127.0.0.1', '127.0.0.1:6379', { host: '127.0.0.1', port: 6379, db: 0 }],
    ['redis://host.lan:7000/3', 'host.lan:7000', { host: 'host.lan', port: 7000, db: 3 }],
    ['redis://[::1]:6380', '[::1]:6380', { host: '::1', port: 6380, db: 0 }],
    ['redis://me:p%40ss@host', 'host:6379', { host: 'host', port: 6379, db: 0, username: 'me', password: 'p@ss' }],
    ['redis://:pass@host', 'host:6379', { host: 'host', port: 6379, db: 0, password: 'pass' }],
    ['rediss://host', 'host:6379', { host: 'host', port: 6379, db: 0, tls: { servername: 'host' } }],
    ['rediss://10.0.0.7', '10.0.0.7:6379', { host: '10.0.0.7', port: 6379, db: 0, tls: {} }],
    ['unix:///run/a%20b/redis.sock', '/run/a b/redis.sock', { path: '/run/a b/redis.sock' }],
  ])('is read from %s', (url, name, options) => {
    expect(redisServer({ url })).toEqual({ name, options });
  });

  it('is the socket of our own server', () => {
    expect(redisServer({ socketPath: '/run/k.sock' })).toEqual({
      name: '/run/k.sock',
      options: { path: '/run/k.sock' },
    });
  });

  it.each([
    '',
    'localhost:6379',
    'http://host',
    'redis://',
    'redis:///0',
    'redis://u:topsecret@host/x',
    'unix://',
    'unix://host/s',
    'redis://:topsecret%zz@host',
  ])('is not read from %j, and the error repeats no password', (url) => {
    expect(() => redisServer({ url })).toThrow(ConfigError);
    expect(() => redisServer({ url })).toThrow(/^redis_url: /);
    expect(() => redisServer({ url })).not.toThrow(/topsecret/);
  });
});

describe('a server that no waiting will mend', () => {
  it.each([
    ['-NOAUTH Authentication required.\r\n', 'redis://HOST', 'asks for a password; .* redis://:PASSWORD@HOST\\.'],
    [
      '-WRONGPASS invalid pair\r\n',
      'redis://me:hidden@HOST',
      'the password of redis_url; .*redis://USER:PASSWORD@HOST\\.',
    ],
    ['-ERR invalid password\r\n', 'redis://:hidden@HOST', 'does not take the password of redis_url'],
    ['+OK\r\n', 'redis://:hidden@HOST/99', 'has no database 99; correct the end of redis_url'],
    ['SSH-2.0-OpenSSH_9.2\r\n', 'redis://:hidden@HOST', 'is no Redis; correct redis_url'],
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'redis://HOST', 'is no Redis; correct redis_url'],
    ['-ERR Protocol error\r\n', 'rediss://:hidden@HOST', 'speaks no TLS; write redis:// in redis_url'],
  ])('and says %j is told at once, without a password and without jargon', async (says, url, sentence) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (asked) => {
        const commands = `${asked}`.split(/^(?=\*)/m);
        for (const one of commands) socket.write(one.includes('99') ? '-ERR DB index is out of range\r\n' : says);
      });
    }).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const address = server.address();
      const host = `127.0.0.1:${typeof address === 'object' ? address?.port : address}`;
      const patience = 60_000;
      const failure = connectTo(redisServer({ url: url.replace('HOST', host) }), { clock: systemClock, patience });
      await expect(failure).rejects.toThrow(ConfigError);
      await expect(failure).rejects.toThrow(new RegExp(`at ${host} .*${sentence.replace('HOST', host)}`));
      await expect(failure).rejects.not.toThrow(/hidden|NOAUTH|WRONGPASS|RESP|SSL|\n/);
    } finally {
      server.close();
    }
  });

  it('because its user may do too little is told of when the first command is refused', () => {
    const server = redisServer({ url: 'redis://me:hidden@host' });
    const refused = unavailable(server, new Error("NOPERM User me has no permissions to run the 'info' command"));
    expect(refused).toMatchObject({ code: 'redis_login', message: expect.stringContaining('every command and key') });
  });
});

describe('trouble', () => {
  it('that may pass says what is tried, and what to look at for TLS', () => {
    const said = (url: string) => unavailable(redisServer({ url }), new Error('no answer within 10 ms'));
    expect(said('redis://host')).toBeInstanceOf(UnavailableError);
    expect(said('redis://host').message).toMatch(/host:6379 .*no answer.*start it, or correct redis_url/);
    expect(said('rediss://host').message).toMatch(/start it, or write redis:\/\/ if it speaks no TLS/);
  });

  it('of the way to the server is told from an answer that says no', () => {
    const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });
    expect(isConnectionTrouble(new Error('connect ECONNREFUSED /run/k.sock'))).toBe(true);
    expect(isConnectionTrouble(new Error('Connection is closed.'))).toBe(true);
    expect(isConnectionTrouble(reply('LOADING Redis is loading the dataset in memory'))).toBe(true);
    expect(isConnectionTrouble(reply('NOAUTH Authentication required.'))).toBe(false);
    expect(isConnectionTrouble(new TypeError('x is not a function'))).toBe(false);
    expect(isConnectionTrouble('Connection is closed.')).toBe(false);
  });

  it('is met by trying again soon at first, and at least every second', () => {
    const delays = Array.from({ length: 50 }, (_, at) => reconnectDelay(at + 1));
    expect(delays[0]).toBeLessThanOrEqual(50);
    expect(delays).toEqual(delays.toSorted((a, b) => a - b));
    expect(delays.at(-1)).toBe(1_000);
  });
});

describe('a server', () => {
  const server = { name: 'host:6379', options: {} };
  const fit: ServerFacts = { title: 'Redis 6.2.0', version: '6.2.0', policy: 'noeviction', appendOnly: true };

  it('is fit from version 6.2 on', () => {
    expect(['6.2.0', '6.10.1', '7.0.15', '10.0.0'].map(isNewEnough)).toEqual([true, true, true, true]);
    expect(['6.0.16', '5.0.7', '', 'x'].map(isNewEnough)).toEqual([false, false, false, false]);
    expect(() => requireFit(server, fit)).not.toThrow();
    expect(() => requireFit(server, { ...fit, version: '6.0.16' })).toThrow(
      expect.objectContaining({ code: 'redis_too_old' }),
    );
  });

  it('that may evict jobs is not fit; one that does not tell is trusted with a warning', () => {
    const evicting = { ...fit, policy: 'volatile-lru' };
    expect(() => requireFit(server, evicting)).toThrow(expect.objectContaining({ code: 'redis_evicts' }));
    expect(() => requireFit(server, { ...fit, policy: null })).not.toThrow();
    expect(checksOf(server, evicting).map(({ status }) => status)).toEqual(['ok', 'fail', 'ok']);
    expect(checksOf(server, { ...fit, policy: null }).map(({ status }) => status)).toEqual(['ok', 'warn', 'ok']);
  });

  it('without an append-only file is warned of, and each line that is not ok says what mends it', () => {
    const lines = checksOf(server, {
      title: 'Redis 6.0.16',
      version: '6.0.16',
      policy: 'allkeys-lru',
      appendOnly: false,
    });
    expect(lines.map(({ status }) => status)).toEqual(['fail', 'fail', 'warn']);
    expect(lines.every(({ mend }) => mend !== undefined)).toBe(true);
  });
});
