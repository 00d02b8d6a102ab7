// Lists: search, sort, empty state, and only the rows that can be seen, so that a thousand cost no more than fifty.
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useId, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from 'react';
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

interface ListProps<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  rowKey: (row: T) => string;
  search?: boolean;
  sort?: { key: string; down?: boolean };
  tools?: ReactNode;
  empty: ReactNode;
}

const VIRTUAL_FROM = 60;
const ROW_HEIGHT = 53;

export function List<T>({ label, rows, columns, rowKey, search = true, sort, tools, empty }: ListProps<T>) {
  const { t, locale } = useWords();
  const [text, setText] = useState('');
  const [order, setOrder] = useState(sort ?? { key: '', down: false });
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

  const template = columns.map((c) => c.width ?? 'minmax(8rem, 1fr)').join(' ');
  return (
    <div className="oh-list">
      {(search || tools) && rows.length > 0 && (
        <div className="oh-list-tools">
          {search && (
            <div className="oh-search">
              <Icon name="search" size="sm" />
              <input className="oh-input" type="search" id={`${id}-s`} aria-label={t('list.search', { list: label })} placeholder={t('list.searchShort')} value={text} onChange={(e) => setText(e.target.value)} />
            </div>
          )}
          {tools}
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
        <div className="oh-table" role="table" aria-label={label} aria-rowcount={shown.length + 1} data-columns={columns.length}>
          <div role="rowgroup">
            <div role="row" className="oh-row oh-head" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
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
            <VirtualRows rows={shown} columns={columns} rowKey={rowKey} template={template} />
          ) : (
            <div role="rowgroup">
              {shown.map((row, i) => (
                <Row key={rowKey(row)} row={row} index={i} columns={columns} template={template} />
              ))}
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function Row<T>({ row, index, columns, template }: { row: T; index: number; columns: Column<T>[]; template: string }) {
  return (
    <div role="row" className="oh-row" aria-rowindex={index + 2} style={{ gridTemplateColumns: template }}>
      {columns.map((c) => (
        <div key={c.key} role="cell" className={`${c.minor ? 'is-minor' : ''} ${c.end ? 'is-end' : ''}`} data-title={c.title}>
          {c.render(row)}
        </div>
      ))}
    </div>
  );
}

function VirtualRows<T>({ rows, columns, rowKey, template }: { rows: T[]; columns: Column<T>[]; rowKey: (row: T) => string; template: string }) {
  const ref = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  useLayoutEffect(() => setMargin(ref.current?.offsetTop ?? 0), []);
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
          <Row row={rows[item.index]!} index={item.index} columns={columns} template={template} />
        </div>
      ))}
    </div>
  );
}
