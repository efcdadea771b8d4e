"""The page's style sheet: light, readable on a phone at 900 pixels and in print."""

STYLE_SHEET = """
:root { --ink: #1f2a37; --faint: #566171; --line: #d5dae1; --soft: #f4f6f9; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem;
  border-bottom: 2px solid var(--blue); }
p { margin: .5rem 0; max-width: 46rem; }
.kicker { color: var(--faint); margin: 0 0 .25rem; font-size: .9rem; }
.status { margin: 1.25rem 0; padding: .9rem 1.1rem; border-left: 6px solid #009e73;
  background: #eef8f4; }
.status.stopped { border-color: #d55e00; background: #fdf3ec; }
.status strong { display: block; }
.status .what { font-size: 1.15rem; margin: .15rem 0; max-width: none; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1rem 0; padding: 0; }
.facts div { background: var(--soft); padding: .75rem .9rem; border-radius: .4rem; }
.facts dt { color: var(--faint); font-size: .82rem; line-height: 1.3; }
.facts dd { margin: .15rem 0 0; font-size: 1.35rem; font-weight: 600; }
.scroll { overflow-x: auto; margin: .75rem 0; }
.scroll:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
caption { text-align: left; font-weight: 600; padding: .25rem 0 .5rem; }
th, td { text-align: left; padding: .38rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
thead th { vertical-align: bottom; background: var(--soft); border-bottom: 2px solid var(--line); }
tbody th { font-weight: 600; }
tbody th:not(.number) { overflow-wrap: anywhere; min-width: 6rem; }
.wide { min-width: 12rem; }
tfoot th { white-space: nowrap; }
tfoot th, tfoot td { font-weight: 700; border-top: 2px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .9em;
  overflow-wrap: anywhere; }
figure { margin: 1.5rem 0 2rem; break-inside: avoid; }
figure svg { display: block; width: 100%; min-width: 40rem; height: auto; }
figcaption { color: var(--faint); font-size: .9rem; max-width: 46rem; }
.note { color: var(--faint); font-size: .9rem; }
details { margin: 1rem 0; border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .9rem; }
summary { cursor: pointer; font-weight: 600; }
details code { white-space: nowrap; }
details table { font-size: .78rem; }
@media print {
  @page { margin: 14mm; }
  main { max-width: none; padding: 0; }
  body { font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .scroll { overflow: visible; }
  figure svg { min-width: 0; }
  details::details-content { content-visibility: visible; display: block; }
  details table { font-size: 6.5pt; }
  details th, details td { padding: .2rem .25rem; min-width: 0 !important; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
"""
