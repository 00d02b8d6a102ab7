// Which address shows which screen. Everything but sign-in and the list of services comes when it is first visited.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { useWords } from '../i18n';
import { SignIn } from '../screens/SignIn';
import { Services } from '../screens/Services';
import { Skeleton } from '../ui/basics';
import { Page } from '../ui/page';
import { Empty } from '../ui/basics';
import { Layout } from './layout';
import { useSession } from './session';

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound });

function NotFound() {
  const { t } = useWords();
  return (
    <main className="oh-alone">
      <Empty title={t('error.missing')} action={<a href="/">{t('nav.home')}</a>}>
        {t('error.missing.do')}
      </Empty>
    </main>
  );
}

/** Pages for people who are signed in; others are sent to sign in and come back. */
function Inside() {
  const { state } = useSession();
  return state === 'out' ? <ToSignIn /> : <Layout />;
}

/** Goes once: the address changes under it, and must not lead it to go again. */
function ToSignIn() {
  const navigate = useNavigate();
  useEffect(() => {
    const here = location.pathname + location.search;
    void navigate({ to: '/sign-in', search: { to: here === '/' ? undefined : here }, replace: true } as never);
  }, [navigate]);
  return null;
}

const inside = createRoute({ getParentRoute: () => root, id: 'inside', component: Inside });

const outer = [
  createRoute({
    getParentRoute: () => root,
    path: '/sign-in',
    component: SignIn,
    validateSearch: (s: Record<string, unknown>): { to?: string } => ({ to: typeof s['to'] === 'string' ? s['to'] : undefined }),
  }),
  ...['/set-up', '/setup'].map((path) =>
    createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(() => import('../screens/SetUp'), 'SetUp') }),
  ),
  createRoute({ getParentRoute: () => root, path: '/invitation', component: lazyRouteComponent(() => import('../screens/Invitation'), 'Invitation') }),
  createRoute({ getParentRoute: () => root, path: '/oidc', component: lazyRouteComponent(() => import('../screens/Oidc'), 'Oidc') }),
];

const screens: [string, ReturnType<typeof lazyRouteComponent> | (() => React.ReactNode)][] = [
  ['/', lazyRouteComponent(() => import('../screens/Home'), 'Home')],
  ['/services', Services],
  ['/services/new', lazyRouteComponent(() => import('../screens/ServiceNew'), 'ServiceNew')],
  ['/services/$serviceId', lazyRouteComponent(() => import('../screens/Service'), 'Service')],
  ['/infrastructures', lazyRouteComponent(() => import('../screens/Infrastructures'), 'Infrastructures')],
  ['/infrastructures/$infrastructureId', lazyRouteComponent(() => import('../screens/Infrastructure'), 'Infrastructure')],
  ['/connect', lazyRouteComponent(() => import('../screens/ConnectAccount'), 'ConnectAccount')],
  ['/plans/$planId', lazyRouteComponent(() => import('../screens/Plan'), 'Plan')],
  ['/requests', lazyRouteComponent(() => import('../screens/Requests'), 'Requests')],
  ['/requests/$requestId', lazyRouteComponent(() => import('../screens/Request'), 'Request')],
  ['/access', lazyRouteComponent(() => import('../screens/Access'), 'Access')],
  ['/access/$grantId', lazyRouteComponent(() => import('../screens/Grant'), 'Grant')],
  ['/ledger', lazyRouteComponent(() => import('../screens/Ledger'), 'Ledger')],
  ['/members', lazyRouteComponent(() => import('../screens/Members'), 'Members')],
  ['/roles', lazyRouteComponent(() => import('../screens/Roles'), 'Roles')],
  ['/roles/$roleId', lazyRouteComponent(() => import('../screens/Role'), 'Role')],
  ['/keys', lazyRouteComponent(() => import('../screens/Keys'), 'Keys')],
  ['/activities', lazyRouteComponent(() => import('../screens/Activities'), 'Activities')],
  ['/usage', lazyRouteComponent(() => import('../screens/Usage'), 'Usage')],
  ['/settings', lazyRouteComponent(() => import('../screens/Settings'), 'Settings')],
  ['/profile', lazyRouteComponent(() => import('../screens/Profile'), 'Profile')],
];

const tree = root.addChildren([
  ...outer,
  inside.addChildren(screens.map(([path, component]) => createRoute({ getParentRoute: () => inside, path, component: component as never }))),
]);

export const router = createRouter({
  routeTree: tree,
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultPendingComponent: () => <Skeleton lines={6} />,
  defaultErrorComponent: ({ error }) => (
    <Page title="OwnHouse">
      <p role="alert">{String(error)}</p>
    </Page>
  ),
});
