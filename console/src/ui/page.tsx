// A page: its title, where it belongs, and its one main act.
import { useEffect, useRef, type ReactNode } from 'react';
import { Link } from '@tanstack/react-router';
import { useWords } from '../i18n';

// The first page of a visit leaves focus where the browser has it: before the link that skips the menu.
let visited = false;

export function Page({ title, lead, actions, up, badge, children }: { title: string; lead?: ReactNode; actions?: ReactNode; up?: { to: string; label: string }; badge?: ReactNode; children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { t } = useWords();
  useEffect(() => {
    document.title = `${title} · OwnHouse`;
  }, [title]);
  useEffect(() => {
    // Whoever reads by ear hears where the link led to.
    if (visited) heading.current?.focus({ preventScroll: true });
    visited = true;
  }, []);
  return (
    <div className="oh-page">
      {up && (
        <nav aria-label={t('nav.up')} className="oh-up">
          <Link to={up.to as never}>← {up.label}</Link>
        </nav>
      )}
      <header className="oh-page-head">
        <div className="oh-page-title">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {badge}
        </div>
        {actions && <div className="oh-actions">{actions}</div>}
        {lead && <p className="oh-lead">{lead}</p>}
      </header>
      {children}
    </div>
  );
}
