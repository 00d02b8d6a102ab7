// click-ui's single icons have no public entry of their own.
declare module 'click-ui-dist/components/Assets/Icons/*' {
  import type { ComponentType, SVGProps } from 'react';
  const icon: ComponentType<SVGProps<SVGSVGElement>>;
  export default icon;
}
