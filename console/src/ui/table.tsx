// Lists: search, sort, empty state, and only the rows that can be seen, so that a thousand cost no more than fifty. And plain
// tables, for what is read from top to bottom. Where there is no room beside each other, a row's cells stand below each other.
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState, type CSSProperties, type ReactNode } from 'react';
import { useWords } from '../i18n';
import { compare } from '../lib/compare';
import { Empty } from './basics';
import { Icon } from './Icon';

export interface Column<T> {
  key: string;
  title: string;
  render: (row: T) => ReactNode;
  /** What it is sorted by and searched in; none: neither. */
  value?: (row: T) => string | number | null | undefined;
  width?: string;
  /** Shown only where there is room. */
  minor?: boolean;
  end?: boolean;
}

/** A width that is fixed gives way before the table grows beyond its frame; a column of acts, which cannot wrap, does not. */
function track<T>(c: Column<T>): string {
  if (!c.width) return 'minmax(6rem, 1fr)';
  const rem = /^(\d+(?:\.\d+)?)rem$/.exec(c.width);
  return rem && c.value && Number(rem[1]) > 6 ? `minmax(6rem, ${c.width})` : c.width;
}

interface Kept {
  text: string;
  order: { key: string; down?: boolean };
}

// What was searched and sorted, by the browser's own entry of its history: whoever goes back finds the list as it was left.
const kept = new Map<string, Kept>();

function useKept(label: string, sort: Kept['order'] | undefined) {
  const key = useMemo(() => `${(history.state as { __TSR_key?: string } | null)?.__TSR_key ?? location.href} ${label}`, [label]);
  const [text, setText] = useState(() => kept.get(key)?.text ?? '');
  const [order, setOrder] = useState<Kept['order']>(() => kept.get(key)?.order ?? sort ?? { key: '', down: false });
  useEffect(() => void kept.set(key, { text, order }), [key, text, order]);
  return { text, setText, order, setOrder };
}

interface ListProps<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  rowKey: (row: T) => string;
  sort?: { key: string; down?: boolean };
  tools?: ReactNode;
  empty: ReactNode;
}

const VIRTUAL_FROM = 60;
const ROW_HEIGHT = 53;

export function List<T>({ label, rows, columns, rowKey, sort, tools, empty }: ListProps<T>) {
  const { t, locale } = useWords();
  const { text, setText, order, setOrder } = useKept(label, sort);
  const id = useId();
  const shown = useMemo(() => {
    const words = text.toLocaleLowerCase(locale).split(/\s+/).filter(Boolean);
    const found = words.length
      ? rows.filter((row) => {
          const all = columns.map((c) => c.value?.(row) ?? '').join('\n').toLocaleLowerCase(locale);
          return words.every((w) => all.includes(w));
        })
      : rows;
    const column = columns.find((c) => c.key === order.key);
    if (!column?.value) return found;
    const sign = order.down ? -1 : 1;
    return [...found].sort((a, b) => sign * compare(column.value!(a), column.value!(b), locale));
  }, [rows, columns, text, order, locale]);

  const tracks = (list: Column<T>[]) => list.map(track).join(' ');
  const template = { '--oh-all': tracks(columns), '--oh-major': tracks(columns.filter((c) => !c.minor)) } as CSSProperties;
  return (
    <div className="oh-list">
      {rows.length > 0 && (
        <div className="oh-list-tools">
          <div className="oh-search">
            <Icon name="search" size="sm" />
            <input className="oh-input" type="search" id={`${id}-s`} aria-label={t('list.search', { list: label })} placeholder={t('list.searchShort')} value={text} onChange={(e) => setText(e.target.value)} />
          </div>
          {tools}
          {/* Only where the heads of the columns, which sort too, have no room. */}
          <select
            className="oh-input oh-select oh-sort"
            aria-label={t('list.sort', { list: label })}
            value={`${order.down ? '-' : ''}${order.key}`}
            onChange={(e) => setOrder({ key: e.target.value.replace('-', ''), down: e.target.value.startsWith('-') })}
          >
            {!order.key && <option value="">{t('list.unsorted')}</option>}
            {columns.flatMap((c) =>
              c.value
                ? ['', '-'].map((sign) => (
                    <option key={sign + c.key} value={sign + c.key}>
                      {t(sign ? 'list.sort.down' : 'list.sort.up', { column: c.title })}
                    </option>
                  ))
                : [],
            )}
          </select>
          <span className="oh-muted oh-count" role="status">
            {shown.length === rows.length ? t('list.count', { n: rows.length }) : t('list.found', { found: shown.length, all: rows.length })}
          </span>
        </div>
      )}
      {rows.length === 0 ? (
        empty
      ) : shown.length === 0 ? (
        <Empty title={t('list.nothingFound')}>{t('list.nothingFound.do')}</Empty>
      ) : (
        <div className="oh-table" role="table" aria-label={label} aria-rowcount={shown.length + 1} style={template}>
          <div role="rowgroup">
            <div role="row" className="oh-row oh-head" aria-rowindex={1}>
              {columns.map((c) => (
                <div
                  key={c.key}
                  role="columnheader"
                  className={`${c.minor ? 'is-minor' : ''} ${c.end ? 'is-end' : ''}`}
                  aria-sort={c.value ? (order.key === c.key ? (order.down ? 'descending' : 'ascending') : 'none') : undefined}
                >
                  {c.value ? (
                    <button type="button" onClick={() => setOrder({ key: c.key, down: order.key === c.key && !order.down })}>
                      {c.title}
                      {order.key === c.key && <Icon name={order.down ? 'arrow-down' : 'arrow-up'} size="xs" />}
                    </button>
                  ) : (
                    c.title || <span className="oh-hidden">{t('list.acts')}</span>
                  )}
                </div>
              ))}
            </div>
          </div>
          {shown.length >= VIRTUAL_FROM ? (
            <VirtualRows rows={shown} columns={columns} rowKey={rowKey} />
          ) : (
            <div role="rowgroup">
              {shown.map((row, i) => (
                <Row key={rowKey(row)} row={row} index={i} columns={columns} />
              ))}
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function Row<T>({ row, index, columns }: { row: T; index: number; columns: Column<T>[] }) {
  return (
    <div role="row" className="oh-row" aria-rowindex={index + 2}>
      {columns.map((c) => (
        <div key={c.key} role="cell" className={`${c.minor ? 'is-minor' : ''} ${c.end ? 'is-end' : ''}`} data-title={c.title}>
          {c.render(row)}
        </div>
      ))}
    </div>
  );
}

function VirtualRows<T>({ rows, columns, rowKey }: { rows: T[]; columns: Column<T>[]; rowKey: (row: T) => string }) {
  const ref = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  useLayoutEffect(() => setMargin((ref.current?.getBoundingClientRect().top ?? 0) + window.scrollY), []);
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
    scrollMargin: margin,
    getItemKey: (i) => rowKey(rows[i]!),
  });
  return (
    <div role="rowgroup" ref={ref} className="oh-virtual" style={{ height: virtual.getTotalSize() }}>
      {virtual.getVirtualItems().map((item) => (
        <div
          key={item.key}
          role="presentation"
          data-index={item.index}
          ref={virtual.measureElement}
          className="oh-virtual-row"
          style={{ transform: `translateY(${item.start - margin}px)` }}
        >
          <Row row={rows[item.index]!} index={item.index} columns={columns} />
        </div>
      ))}
    </div>
  );
}

interface PlainRow {
  key: string;
  /** As many as there are heads, or fewer: the last one then takes the rest. */
  cells: ReactNode[];
}

/** A table that is read as it is: the first cell of a row says what the row is about. */
export function Plain({ label, heads, rows }: { label: string; heads: string[]; rows: PlainRow[] }) {
  // The roles are said, because a table whose cells stand below each other is none for a screen reader otherwise.
  return (
    <div className="oh-scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="oh-plain" role="table">
        <thead role="rowgroup">
          <tr role="row">
            {heads.map((h) => (
              <th key={h} scope="col" role="columnheader">
                {h}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map(({ key, cells }) => (
            <tr key={key} role="row">
              <th scope="row" role="rowheader">
                {cells[0]}
              </th>
              {cells.slice(1).map((cell, i) => (
                <td key={i} role="cell" data-title={heads[i + 1]} colSpan={i + 2 === cells.length ? heads.length - cells.length + 1 : 1}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
