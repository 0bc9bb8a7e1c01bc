import { hubFetcher } from '../../src/model/fetch.ts';

/** Fetches for ever, until it is killed: `node fetch-process.ts <python> <folder of the module>`. */
const [python = '', workerDir = ''] = process.argv.slice(2);
await hubFetcher({ python, workerDir })('test/slow');
