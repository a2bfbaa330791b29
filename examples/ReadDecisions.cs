// Reads decisions with Confluent.Kafka in C#. A sketch: it is not compiled by the tests of this project.
//   dotnet add package Confluent.Kafka
using System;
using System.Collections.Generic;
using System.Text.Json;
using Confluent.Kafka;

var consumer = new ConsumerBuilder<string, byte[]>(new ConsumerConfig
{
    BootstrapServers = args[0],
    GroupId = "example-plc",
    IsolationLevel = IsolationLevel.ReadCommitted, // what an aborted transaction wrote was never decided
    AutoOffsetReset = AutoOffsetReset.Earliest,
    EnableAutoCommit = false,
}).Build();
consumer.Subscribe("decisions");

var seen = new HashSet<string>(); // bound it in a program that runs for months
while (true)
{
    var record = consumer.Consume();
    using var document = JsonDocument.Parse(record.Message.Value);
    var decision = document.RootElement;
    if (seen.Add(decision.GetProperty("id").GetString()!))
    {
        var verdict = decision.GetProperty("verdict").GetString();
        var serial = decision.TryGetProperty("part_serial", out var found) ? found.GetString() : "-"; // absent: not known
        Console.WriteLine($"{decision.GetProperty("view").GetString()} {serial} {verdict}");
        // verdict "pass": let it go; "fail": take it out; "undecided": hold it for a person.
    }
    consumer.Commit(record); // after it was acted on: a restart repeats it rather than losing it
}
