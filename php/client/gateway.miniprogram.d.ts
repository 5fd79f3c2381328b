import {Gateway as Client} from './gateway.js';

export * from './gateway.js';

/** The class for the app that this file is part of, WeChat's, uni-app or Douyin's; null where it is none. */
export const Gateway: typeof Client;
export type Gateway = Client;

/** Gives the class for an app whose functions are those of this object, as `wx` has them. */
export function gatewayFor(api: object): typeof Client;
