// Tabs by the usual keys: arrows, Home, End.
import { useId, useRef, type KeyboardEvent, type ReactNode } from 'react';

export interface Tab<V extends string> {
  value: V;
  label: string;
  panel: () => ReactNode;
}

export function Tabs<V extends string>({ label, tabs, value, onChange }: { label: string; tabs: Tab<V>[]; value: V; onChange: (value: V) => void }) {
  const id = useId();
  const refs = useRef(new Map<V, HTMLButtonElement>());
  const current = tabs.find((t) => t.value === value) ?? tabs[0]!;
  function onKey(e: KeyboardEvent) {
    const at = tabs.indexOf(current);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length]!;
    onChange(next.value);
    refs.current.get(next.value)?.focus();
  }
  return (
    <>
      <div className="oh-tabs" role="tablist" aria-label={label} onKeyDown={onKey}>
        {tabs.map((t) => (
          <button
            key={t.value}
            type="button"
            role="tab"
            id={`${id}-${t.value}`}
            aria-selected={t === current}
            aria-controls={`${id}-panel`}
            tabIndex={t === current ? 0 : -1}
            ref={(element) => {
              if (element) refs.current.set(t.value, element);
            }}
            onClick={() => onChange(t.value)}
          >
            {t.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${current.value}`} className="oh-tabpanel" tabIndex={0}>
        {current.panel()}
      </div>
    </>
  );
}
