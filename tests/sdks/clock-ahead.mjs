/** A machine whose clock is wrong: preloaded, it puts `Date` ahead by CLOCK_AHEAD_SECONDS. */
const aheadMs = Number(process.env.CLOCK_AHEAD_SECONDS) * 1000;
const RightDate = Date;

globalThis.Date = class extends RightDate {
  constructor(...args) {
    super(...(args.length ? args : [RightDate.now() + aheadMs]));
  }
  static now() {
    return RightDate.now() + aheadMs;
  }
};
