// Amounts by day, drawn by uPlot, with the same numbers as a table for who cannot see it.
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useWords } from '../i18n';

const HEIGHT = 220;

export function Chart({ label, days, unit }: { label: string; days: [string, number][]; unit: string }) {
  const ref = useRef<HTMLDivElement>(null);
  const { number, date, locale } = useWords();
  useEffect(() => {
    const host = ref.current!;
    const colour = (name: string) => getComputedStyle(host).getPropertyValue(name).trim();
    const axis = { stroke: colour('--click-global-color-text-muted'), grid: { stroke: colour('--click-global-color-stroke-default'), width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width: host.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: true } },
        axes: [
          { ...axis, values: (_, ticks) => ticks.map((v) => date(v * 1000, { month: 'short', day: 'numeric', timeZone: 'UTC' })) },
          { ...axis, size: 70, values: (_, ticks) => ticks.map((v) => number(v)) },
        ],
        series: [{}, { stroke: colour('--click-global-color-outline-default'), width: 2, fill: colour('--click-feedback-color-info-background'), paths: uPlot.paths.bars!({ size: [0.6, 60] }) }],
      },
      [days.map(([d]) => Date.parse(d) / 1000), days.map(([, v]) => v)],
      host,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: HEIGHT }));
    watch.observe(host);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [days, number, date, locale]);
  return (
    <figure className="oh-chart">
      <div ref={ref} aria-hidden="true" />
      <table className="oh-hidden">
        <caption>{label}</caption>
        <tbody>
          {days.map(([d, v]) => (
            <tr key={d}>
              <th scope="row">{d}</th>
              <td>
                {number(v)} {unit}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
