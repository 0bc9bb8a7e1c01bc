from kilnwatt_worker.remarks import silence

silence()
