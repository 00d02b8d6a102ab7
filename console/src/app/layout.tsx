// The frame around every page: where one can go, whose it is, and whether what is shown is live.
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { Suspense, useEffect, useState } from 'react';
import { useLiveness } from '../api/events';
import type { Operation } from '../api/client';
import { languages, useWords, type Key, type Language } from '../i18n';
import { setTheme, useTheme, type Theme } from '../theme';
import { Button, IconButton, Skeleton } from '../ui/basics';
import { Problem } from '../ui/errors';
import { Icon, type IconName } from '../ui/Icon';
import { Announcements } from '../ui/toast';
import { Boundary } from './boundary';
import { useSession } from './session';

export interface Place {
  to: string;
  label: Key;
  icon: IconName;
  needs: Operation;
}

export const places: Place[] = [
  { to: '/', label: 'nav.home', icon: 'home', needs: 'organizationGet' },
  { to: '/services', label: 'nav.services', icon: 'database', needs: 'instanceGetList' },
  { to: '/infrastructures', label: 'nav.infrastructures', icon: 'cloud', needs: 'infrastructureGetList' },
  { to: '/requests', label: 'nav.requests', icon: 'check-in-circle', needs: 'requestGetList' },
  { to: '/access', label: 'nav.access', icon: 'eye', needs: 'accessGrantGetList' },
  { to: '/ledger', label: 'nav.ledger', icon: 'book', needs: 'consentGet' },
  { to: '/members', label: 'nav.members', icon: 'users', needs: 'memberGetList' },
  { to: '/roles', label: 'nav.roles', icon: 'lock', needs: 'organizationRolesGetList' },
  { to: '/keys', label: 'nav.keys', icon: 'key', needs: 'openapiKeyGetList' },
  { to: '/activities', label: 'nav.activities', icon: 'activity', needs: 'activityGetList' },
  { to: '/usage', label: 'nav.usage', icon: 'bar-chart', needs: 'usageCostGet' },
  { to: '/settings', label: 'nav.settings', icon: 'gear', needs: 'organizationGet' },
];

export function ThemeAndLanguage() {
  const { t, language, setLanguage } = useWords();
  const theme = useTheme();
  return (
    <div className="oh-preferences">
      <select className="oh-input oh-select" aria-label={t('preferences.language')} value={language} onChange={(e) => setLanguage(e.target.value as Language)}>
        {Object.entries(languages).map(([value, l]) => (
          <option key={value} value={value} lang={l.locale}>
            {l.name}
          </option>
        ))}
      </select>
      <select className="oh-input oh-select" aria-label={t('preferences.theme')} value={theme} onChange={(e) => setTheme(e.target.value as Theme)}>
        <option value="system">{t('theme.system')}</option>
        <option value="light">{t('theme.light')}</option>
        <option value="dark">{t('theme.dark')}</option>
      </select>
    </div>
  );
}

function Live() {
  const liveness = useLiveness();
  const { t } = useWords();
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (liveness === 'live') {
      setLate(false);
      return undefined;
    }
    const timer = setTimeout(() => setLate(true), 2500);
    return () => clearTimeout(timer);
  }, [liveness]);
  return (
    <div className="oh-live" role="status">
      {late && (
        <span className="oh-live-note">
          <Icon name="refresh" size="xs" /> {t(liveness === 'polling' ? 'live.polling' : 'live.connecting')}
        </span>
      )}
    </div>
  );
}

export function Layout() {
  const { t } = useWords();
  const { state, problem, signedIn, organization, leave, choose, can, ask } = useSession();
  const [open, setOpen] = useState(false);
  const path = useRouterState({ select: (s) => s.location.pathname });
  useEffect(() => setOpen(false), [path]);

  if (state === 'unreachable')
    return (
      <main className="oh-alone">
        <Problem problem={problem} retry={ask} />
      </main>
    );
  if (state !== 'in' || !signedIn)
    return (
      <main className="oh-alone">
        <Skeleton />
      </main>
    );
  return (
    <div className={`oh-frame ${open ? 'is-open' : ''}`}>
      <a className="oh-skip" href="#main">
        {t('nav.skip')}
      </a>
      <header className="oh-top">
        <IconButton icon={open ? 'cross' : 'burger-menu'} label={t(open ? 'nav.close' : 'nav.open')} aria-expanded={open} aria-controls="nav" onClick={() => setOpen(!open)} />
        <Link to="/" className="oh-brand">
          <img src="/favicon.svg" alt="" width="24" height="24" /> OwnHouse
        </Link>
        <Live />
      </header>
      <aside className="oh-side" id="nav" aria-label={t('nav.side')}>
        <Link to="/" className="oh-brand">
          <img src="/favicon.svg" alt="" width="24" height="24" /> OwnHouse
        </Link>
        {signedIn.organizations.length > 1 ? (
          <select className="oh-input oh-select" aria-label={t('nav.organization')} value={organization?.id} onChange={(e) => choose(e.target.value)}>
            {signedIn.organizations.map((o) => (
              <option key={o.id} value={o.id}>
                {o.name}
              </option>
            ))}
          </select>
        ) : (
          <div className="oh-organization">{organization?.name}</div>
        )}
        <nav aria-label={t('nav.main')}>
          <ul>
            {places
              .filter((p) => can(p.needs) || p.to === '/')
              .map((p) => (
                <li key={p.to}>
                  <Link to={p.to as never} activeOptions={{ exact: p.to === '/' }} className={p.to === '/infrastructures' && /^\/(plans|connect)(\/|$)/.test(path) ? 'active' : undefined}>
                    <Icon name={p.icon} size="sm" /> {t(p.label)}
                  </Link>
                </li>
              ))}
          </ul>
        </nav>
        <div className="oh-side-end">
          <Live />
          <ThemeAndLanguage />
          <Link to="/profile" className="oh-me">
            <Icon name="user" size="sm" />
            <span>
              {signedIn.profile.name}
              <small>{signedIn.profile.email}</small>
            </span>
          </Link>
          <Button kind="empty" onClick={() => void leave()}>
            {t('action.signOut')}
          </Button>
        </div>
      </aside>
      <main id="main" tabIndex={-1}>
        <Boundary key={path}>
          <Suspense fallback={<Skeleton lines={6} />}>
            <Outlet />
          </Suspense>
        </Boundary>
      </main>
      <Announcements />
    </div>
  );
}
