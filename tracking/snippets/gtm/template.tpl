___INFO___

{
  "type": "TAG",
  "id": "cvt_temp_public_id",
  "version": 1,
  "securityGroups": [],
  "displayName": "Sluice",
  "categories": [
    "ANALYTICS"
  ],
  "brand": {
    "id": "brand_dummy",
    "displayName": "Sluice"
  },
  "description": "First-party events: loads the tracker from your own host once consent is given, and tells it events.",
  "containerContexts": [
    "WEB"
  ]
}


___TEMPLATE_PARAMETERS___

[
  {
    "type": "SELECT",
    "name": "command",
    "displayName": "What to do",
    "simpleValueType": true,
    "defaultValue": "load",
    "selectItems": [
      {
        "value": "load",
        "displayValue": "Load the tracker"
      },
      {
        "value": "track",
        "displayValue": "Track an event"
      },
      {
        "value": "identify",
        "displayValue": "Say who is signed in"
      },
      {
        "value": "reset",
        "displayValue": "Forget who was signed in"
      },
      {
        "value": "optOut",
        "displayValue": "Opt out"
      },
      {
        "value": "optIn",
        "displayValue": "Opt in again"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "src",
    "displayName": "The tracker's address",
    "help": "On your own host, by https. Its site id is the page's host name; its events go to /collect there.",
    "simpleValueType": true,
    "valueHint": "https://events.shop.example/js/tracking.js",
    "enablingConditions": [
      {
        "paramName": "command",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ],
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      },
      {
        "type": "REGEX",
        "args": [
          "^https://[^/]+/.+$"
        ]
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "plugins",
    "displayName": "Plugins",
    "help": "Names with a space between them: vitals errors",
    "simpleValueType": true,
    "enablingConditions": [
      {
        "paramName": "command",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "consentType",
    "displayName": "Consent type that it needs",
    "help": "The tracker is loaded once this is granted, and told when it is withdrawn.",
    "simpleValueType": true,
    "defaultValue": "analytics_storage",
    "enablingConditions": [
      {
        "paramName": "command",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ],
    "valueValidators": [
      {
        "type": "REGEX",
        "args": [
          "^(analytics_storage|functionality_storage|personalization_storage)$"
        ]
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "eventName",
    "displayName": "The event's name",
    "simpleValueType": true,
    "valueHint": "signup",
    "enablingConditions": [
      {
        "paramName": "command",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ],
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "userId",
    "displayName": "The user's id",
    "help": "In your own terms; no mail address.",
    "simpleValueType": true,
    "enablingConditions": [
      {
        "paramName": "command",
        "paramValue": "identify",
        "type": "EQUALS"
      }
    ],
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      }
    ]
  },
  {
    "type": "SIMPLE_TABLE",
    "name": "properties",
    "displayName": "Properties",
    "enablingConditions": [
      {
        "paramName": "command",
        "paramValue": "track",
        "type": "EQUALS"
      },
      {
        "paramName": "command",
        "paramValue": "identify",
        "type": "EQUALS"
      }
    ],
    "simpleTableColumns": [
      {
        "name": "name",
        "displayName": "Name",
        "type": "TEXT",
        "isUnique": true,
        "defaultValue": "",
        "valueValidators": [
          {
            "type": "NON_EMPTY"
          }
        ]
      },
      {
        "name": "value",
        "displayName": "Value",
        "type": "TEXT",
        "defaultValue": ""
      }
    ]
  }
]


___SANDBOXED_JS_FOR_WEB_TEMPLATE___

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


___WEB_PERMISSIONS___

[
  {
    "instance": {
      "key": {
        "publicId": "access_globals",
        "versionId": "1"
      },
      "param": [
        {
          "key": "keys",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "sluice"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "sluice.q"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  },
  {
    "instance": {
      "key": {
        "publicId": "inject_script",
        "versionId": "1"
      },
      "param": [
        {
          "key": "urls",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 1,
                "string": "https://*/*"
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  },
  {
    "instance": {
      "key": {
        "publicId": "access_consent",
        "versionId": "1"
      },
      "param": [
        {
          "key": "consentTypes",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "consentType"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "analytics_storage"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "consentType"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "functionality_storage"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "consentType"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "personalization_storage"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  }
]


___TESTS___

scenarios:
- name: With consent it loads the tracker and its plugins
  code: |-
    mock('isConsentGranted', true);
    mock('addConsentListener', undefined);
    mock('injectScript', (url, onSuccess) => onSuccess());
    runCode({command: 'load', src: 'https://events.shop.example/js/tracking.js', plugins: 'vitals errors'});
    assertApi('callInWindow').wasCalledWith('sluice', 'consent', 'granted');
    assertApi('callInWindow').wasCalledWith('sluice', 'use', 'vitals');
    assertApi('callInWindow').wasCalledWith('sluice', 'use', 'errors');
    assertApi('injectScript').wasCalled();
    assertApi('gtmOnSuccess').wasCalled();
- name: Without consent it waits
  code: |-
    mock('isConsentGranted', false);
    mock('addConsentListener', undefined);
    runCode({command: 'load', src: 'https://events.shop.example/js/tracking.js'});
    assertApi('injectScript').wasNotCalled();
    assertApi('gtmOnSuccess').wasCalled();
- name: A grant loads it, once, and a withdrawal is told
  code: |-
    let listener;
    let loads = 0;
    mock('isConsentGranted', false);
    mock('addConsentListener', (type, run) => { listener = run; });
    mock('injectScript', () => { loads += 1; });
    runCode({command: 'load', src: 'https://events.shop.example/js/tracking.js'});
    listener('analytics_storage', true);
    listener('analytics_storage', false);
    listener('analytics_storage', true);
    assertThat(loads).isEqualTo(1);
    assertApi('callInWindow').wasCalledWith('sluice', 'consent', 'denied');
- name: An event is told with its properties
  code: |-
    runCode({command: 'track', eventName: 'signup', properties: [{name: 'plan', value: 'pro'}]});
    assertApi('callInWindow').wasCalledWith('sluice', 'track', 'signup', {plan: 'pro'});
    assertApi('gtmOnSuccess').wasCalled();


___NOTES___

https://developers.google.com/tag-platform/tag-manager/templates
