"""Makes up a school of 2,000 contacts for `carillon simulate`: python3 big_school.py FOLDER

    cargo build --release
    python3 tests/benches/big_school.py /tmp/big
    time target/release/carillon simulate --data /tmp/big --from 2026-03-06T00:00:00Z --for 7d
"""

import csv
import datetime as dt
import json
import os
import random
import sys

TENANT = {
    "name": "Big School",
    "enabled": True,
    "timeZone": "America/New_York",
    "defaultRegion": "US",
    "senders": {
        "sms": "+15005550006",
        "whatsapp": "whatsapp:+15005550006"
    },
    "budget": {
        "monthlyLimit": "900.00",
        "currency": "USD"
    },
    "quietHours": {
        "from": "22:00",
        "to": "07:00"
    },
    "frequencyCap": 10,
    "paymentTime": "10:00",
    "types": {
        "lesson_reminder": {
            "enabled": True,
            "channels": [
                "sms"
            ],
            "offsets": [
                "24h",
                "3h",
                "1h"
            ]
        },
        "payment_reminder": {
            "enabled": True,
            "channels": [
                "sms"
            ],
            "offsets": [
                "3d",
                "1d"
            ]
        },
        "schedule_change": {
            "enabled": True,
            "channels": [
                "sms",
                "whatsapp"
            ]
        },
        "attendance": {
            "enabled": True,
            "channels": [
                "sms"
            ],
            "template": "{name}: {status} at {subject} on {date}. Questions? Call the front desk."
        }
    },
    "prices": {
        "sms": "0.0079",
        "whatsapp": "0.0050"
    }
}

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
random.seed(7)
N=2000
zones=['','','','','America/Chicago','America/Phoenix','Europe/London']
groups=[f'G{i}' for i in range(150)]
with open(os.path.join(folder, 'contacts.csv'),'w',newline='') as f:
    w=csv.writer(f); w.writerow(['id','name','phone','whatsapp','channel','timezone','groups','quiet_hours','opted_out','opted_out_categories'])
    for i in range(N):
        w.writerow([f'C{i:04}',f'Student Number {i}',f'+1555{2000000+i:07}',f'+1555{2000000+i:07}' if i%9==0 else '',random.choice(['','','','sms','whatsapp','both']) if i%9==0 else '',random.choice(zones),';'.join(random.sample(groups,1)),random.choice(['','','','20:00-09:00']),'yes' if i%50==0 else '','lessons' if i%60==0 else ''])
with open(os.path.join(folder, 'lessons.csv'),'w',newline='') as f:
    w=csv.writer(f); w.writerow(['id','subject','teacher','starts_at','students'])
    n=0
    for d in range(0,9):
        day=dt.date(2026,3,5)+dt.timedelta(days=d)
        for g in groups:
            h = random.randint(8, 20)
            m = random.choice([0,15,30,45])
            n += 1
            w.writerow([f'L{n:05}','Piano','Ms. Rivera',f'{day} {h:02}:{m:02}',g])
with open(os.path.join(folder, 'payments.csv'),'w',newline='') as f:
    w=csv.writer(f); w.writerow(['id','student','amount','due_date','course'])
    for i in range(N): w.writerow([f'P{i:05}',f'C{i:04}','120.00',str(dt.date(2026,3,6)+dt.timedelta(days=random.randint(0,9))),'Piano'])
with open(os.path.join(folder, 'events.jsonl'),'w') as f:
    for k in range(300):
        at=dt.datetime(2026,3,6)+dt.timedelta(seconds=random.randint(0,7*86400-1))
        lid=f'L{random.randint(1,n):05}'
        f.write(json.dumps({"at":at.strftime('%Y-%m-%dT%H:%M:%SZ'),"event":"lesson.moved","lesson":lid,"startsAt":(at+dt.timedelta(hours=random.randint(2,60))).strftime('%Y-%m-%d %H:%M')})+'\n')
with open(os.path.join(folder, 'tenant.json'), 'w') as f:
    json.dump(TENANT, f)
