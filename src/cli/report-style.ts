/** Of the report's page. Colours keep their contrast in both lights, and bars their shades on paper. */
export const STYLE = `
:root { --ground: #ffffff; --ink: #1d1b19; --soft: #6a645d; --line: #e2ddd6; --card: #f7f4ef; --work: #c2571a; --idle: #d9b48f; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #191715; --ink: #ece7e1; --soft: #a39b92; --line: #38332e; --card: #23201d; --work: #ee8a4a; --idle: #6f5a48; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1rem; }
header p, footer, .key, .ends { color: var(--soft); }
header p { margin: .2rem 0 1.5rem; }
.lead { margin: 1rem 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem; }
.cards div { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
.cards b, .cards strong, .cards span { display: block; }
.cards b { color: var(--soft); font-weight: 500; font-size: .85rem; }
.cards strong { font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.cards span { min-height: 1.3em; color: var(--soft); font-size: .8rem; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
.part td { color: var(--soft); }
.part td:first-child { padding-left: 1rem; }
.sum td { font-weight: 600; }
.n { text-align: right; white-space: nowrap; }
svg { display: block; width: 100%; height: 9rem; overflow: visible; }
svg line { stroke: var(--line); }
rect.work, i.work { fill: var(--work); background: var(--work); }
rect.idle, i.idle { fill: var(--idle); background: var(--idle); }
i { display: inline-block; width: .7em; height: .7em; }
.ends { display: flex; justify-content: space-between; font-size: .8rem; }
ul { padding-left: 1.1rem; }
footer { margin-top: 2rem; font-size: .85rem; }
@media print {
  :root { --ground: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb; --card: #ffffff; --work: #b04a10; --idle: #d9b48f; }
  body { padding: 0; max-width: none; font-size: 11px; }
  .cards { grid-template-columns: repeat(5, 1fr); }
  .cards strong { font-size: .95rem; }
  svg { height: 6rem; }
  section, tr { break-inside: avoid; }
  rect, i { print-color-adjust: exact; }
}
`;
