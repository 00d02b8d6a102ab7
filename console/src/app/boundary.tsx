// A screen that breaks must not take the frame with it.
import { Component, type ReactNode } from 'react';
import { Problem } from '../ui/errors';

export class Boundary extends Component<{ children: ReactNode }, { problem: unknown }> {
  override state = { problem: null as unknown };
  static getDerivedStateFromError(problem: unknown) {
    return { problem };
  }
  override render() {
    return this.state.problem ? <Problem problem={this.state.problem} retry={() => this.setState({ problem: null })} /> : this.props.children;
  }
}
