import type { Report } from '../cost/report.ts';
import { addedEnergy } from '../cost/report-energy.ts';
import { whole } from './figures.ts';
import { STYLE } from './report-style.ts';
import { trendSvg } from './report-svg.ts';
import { type Table, tablesOf } from './report-tables.ts';
import { headingOf, picturesLine } from './report-terminal.ts';
import { energyText, moneyText, percent, shareText, sourcesText } from './report-words.ts';

/** One page with all in it: no script, no font, no picture from elsewhere. Light or dark as its reader likes, and on paper. */
export function reportHtml(report: Report, notes: readonly string[], software: string): string {
  const heading = escaped(headingOf(report));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>kilnwatt, ${heading}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>What the pictures cost</h1><p>${heading}</p></header>
<section class="cards">${cardsOf(report).map(card).join('')}</section>
<p class="lead">${escaped(picturesLine(report))}</p>
${trendSvg(report.trend)}
${tablesOf(report).map(table).join('\n')}
<section><h2>Notes</h2><ul>${notes.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>
<p class="key">~ not measured, but derived or assumed. &gt; or "at least": what is unknown is not in it. * a part has no rate of exchange and is not in it. ? nothing is known.</p></section>
<footer>${escaped(software)}</footer>
</body>
</html>`;
}

type Card = readonly [name: string, figure: string, more: string];

function cardsOf({ total, currency, sources }: Report): readonly Card[] {
  const ours = addedEnergy([total.energy.active, total.energy.overhead, total.energy.idle]);
  const idle = total.idlePart === null ? '' : `${percent(total.idlePart)} of it idle`;
  const each = (name: 'marginal' | 'cash' | 'full') =>
    total.perPicture === null ? '' : `${shareText(total.perPicture[name], total[name], currency)} a picture`;
  return [
    ['Pictures', whole(total.pictures), ''],
    [`Energy${sourcesText(sources)}`, energyText(ours), idle],
    ['Marginal', moneyText(total.marginal, currency), each('marginal')],
    ['Cash', moneyText(total.cash, currency), each('cash')],
    ['Full', moneyText(total.full, currency), each('full')],
  ];
}

function card([name, figure, more]: Card): string {
  return `<div><b>${escaped(name)}</b><strong>${escaped(figure)}</strong><span>${escaped(more)}</span></div>`;
}

function table({ title, head, rows, words }: Table): string {
  const cells = (row: readonly string[], tag: 'th' | 'td') =>
    head.map((_, at) => `<${tag}${words.includes(at) ? '' : ' class="n"'}>${escaped(row[at] ?? '')}</${tag}>`).join('');
  const parts = rows.some(isPart);
  const line = (row: readonly string[]) => (parts ? `<tr class="${isPart(row) ? 'part' : 'sum'}">` : '<tr>');
  const body = rows.map((row) => `${line(row)}${cells(row, 'td')}</tr>`).join('\n');
  return `<section><h2>${escaped(title)}</h2><div class="scroll"><table><thead><tr>${cells(head, 'th')}</tr></thead><tbody>
${body}
</tbody></table></div></section>`;
}

/** Of the sum below it. */
function isPart([name = '']: readonly string[]): boolean {
  return name.startsWith('  ');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
