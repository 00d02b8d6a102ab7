// The icons that the console shows. click-ui's components get this one in place of their own (vite.config.ts).
import type { ComponentType, SVGProps } from 'react';
import Activity from 'click-ui-dist/components/Assets/Icons/Activity.js';
import ArrowDown from 'click-ui-dist/components/Assets/Icons/Arrow-Down.js';
import ArrowUp from 'click-ui-dist/components/Assets/Icons/Arrow-Up.js';
import Bell from 'click-ui-dist/components/Assets/Icons/Bell.js';
import Book from 'click-ui-dist/components/Assets/Icons/Book.js';
import Burger from 'click-ui-dist/components/Assets/Icons/Burger-Menu.js';
import ChartBar from 'click-ui-dist/components/Assets/Icons/Bar-Chart.js';
import Check from 'click-ui-dist/components/Assets/Icons/Check.js';
import CheckCircle from 'click-ui-dist/components/Assets/Icons/Check-In-Circle.js';
import ChevronDown from 'click-ui-dist/components/Assets/Icons/Chevron-Down.js';
import ChevronRight from 'click-ui-dist/components/Assets/Icons/Chevron-Right.js';
import Cloud from 'click-ui-dist/components/Assets/Icons/Cloud.js';
import Connect from 'click-ui-dist/components/Assets/Icons/Connect.js';
import Copy from 'click-ui-dist/components/Assets/Icons/Copy.js';
import Cross from 'click-ui-dist/components/Assets/Icons/Cross.js';
import Database from 'click-ui-dist/components/Assets/Icons/Database.js';
import Download from 'click-ui-dist/components/Assets/Icons/Download.js';
import Eye from 'click-ui-dist/components/Assets/Icons/Eye.js';
import EyeClosed from 'click-ui-dist/components/Assets/Icons/Eye-Closed.js';
import Gear from 'click-ui-dist/components/Assets/Icons/Gear.js';
import Home from 'click-ui-dist/components/Assets/Icons/Home.js';
import Information from 'click-ui-dist/components/Assets/Icons/Info-In-Circle.js';
import Key from 'click-ui-dist/components/Assets/Icons/Key.js';
import Lock from 'click-ui-dist/components/Assets/Icons/Lock.js';
import LoadingAnimated from 'click-ui-dist/components/Assets/Icons/Loading-Animated.js';
import Minus from 'click-ui-dist/components/Assets/Icons/Minus.js';
import Moon from 'click-ui-dist/components/Assets/Icons/Moon.js';
import Plus from 'click-ui-dist/components/Assets/Icons/Plus.js';
import Refresh from 'click-ui-dist/components/Assets/Icons/Refresh.js';
import Search from 'click-ui-dist/components/Assets/Icons/Search.js';
import Sort from 'click-ui-dist/components/Assets/Icons/Sort.js';
import Trash from 'click-ui-dist/components/Assets/Icons/Trash.js';
import User from 'click-ui-dist/components/Assets/Icons/User.js';
import Users from 'click-ui-dist/components/Assets/Icons/Users.js';
import Warning from 'click-ui-dist/components/Assets/Icons/Warning.js';

const icons = {
  activity: Activity,
  'arrow-down': ArrowDown,
  'arrow-up': ArrowUp,
  bell: Bell,
  book: Book,
  'burger-menu': Burger,
  'bar-chart': ChartBar,
  check: Check,
  'check-in-circle': CheckCircle,
  'chevron-down': ChevronDown,
  'chevron-right': ChevronRight,
  cloud: Cloud,
  connect: Connect,
  copy: Copy,
  cross: Cross,
  database: Database,
  download: Download,
  eye: Eye,
  'eye-closed': EyeClosed,
  gear: Gear,
  home: Home,
  information: Information,
  key: Key,
  lock: Lock,
  'loading-animated': LoadingAnimated,
  minus: Minus,
  moon: Moon,
  plus: Plus,
  refresh: Refresh,
  search: Search,
  sort: Sort,
  trash: Trash,
  user: User,
  users: Users,
  warning: Warning,
} as const satisfies Record<string, ComponentType<SVGProps<SVGSVGElement>>>;

export type IconName = keyof typeof icons;

const sizes = { xs: 12, sm: 16, md: 20, lg: 24, xl: 32, xxl: 48 };

export function Icon({ name, size = 'md', label, className }: { name: IconName; size?: keyof typeof sizes; label?: string; className?: string }) {
  const Shape = icons[name];
  if (!Shape) return null;
  return (
    <span className={`oh-icon ${className ?? ''}`} {...(label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': true })}>
      <Shape width={sizes[size]} height={sizes[size]} />
    </span>
  );
}

export default Icon;
