const addConsentListener = require('addConsentListener');
const callInWindow = require('callInWindow');
const copyFromWindow = require('copyFromWindow');
const createArgumentsQueue = require('createArgumentsQueue');
const injectScript = require('injectScript');
const isConsentGranted = require('isConsentGranted');
const makeTableMap = require('makeTableMap');

// Where the tracker has come, this is the tracker; before, a queue that it replays.
if (!copyFromWindow('sluice')) createArgumentsQueue('sluice', 'sluice.q');
const properties = data.properties ? makeTableMap(data.properties, 'name', 'value') : undefined;

if (data.command === 'load') {
  load();
} else {
  if (data.command === 'track') callInWindow('sluice', 'track', data.eventName, properties);
  else if (data.command === 'identify') callInWindow('sluice', 'identify', data.userId, properties);
  else callInWindow('sluice', data.command);
  data.gtmOnSuccess();
}

function load() {
  const consentType = data.consentType || 'analytics_storage';
  let isLoaded = false;
  const grant = () => {
    callInWindow('sluice', 'consent', 'granted');
    if (isLoaded) return;
    isLoaded = true;
    (data.plugins || '').split(' ').forEach((name) => {
      if (name) callInWindow('sluice', 'use', name);
    });
    // The last one is the cache token: however many of these tags fire, the script is loaded once.
    injectScript(data.src, data.gtmOnSuccess, data.gtmOnFailure, 'sluice');
  };
  // It is called for changes alone, so what holds now is asked as well.
  addConsentListener(consentType, (type, granted) => {
    if (granted) grant();
    else callInWindow('sluice', 'consent', 'denied');
  });
  if (isConsentGranted(consentType)) grant();
  // Not loaded yet, and nothing has failed.
  else data.gtmOnSuccess();
}
