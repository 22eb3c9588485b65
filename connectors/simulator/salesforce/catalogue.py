"""What objects the org has and which fields they have, as read by ``fields``."""

from __future__ import annotations

from typing import Final

# One object per paragraph: name, then flags (replicateable, undeletable, createable). One field per line:
# name, type(argument), flags. Types with an argument: string(length), ref(object), double(scale).
# Flags: ! required, = defaulted on create, name (the name field), long (neither filterable nor sortable),
# unsortable, readonly. CurrencyIsoCode is there only in an org with several currencies.
OBJECTS: Final = """
Account replicateable undeletable createable
  Name string(255) ! name
  Type picklist
  ParentId ref(Account)
  BillingStreet textarea(255)
  BillingCity string(40)
  BillingState string(80)
  BillingPostalCode string(20)
  BillingCountry string(80)
  BillingAddress address unsortable readonly
  Phone phone
  Fax phone
  AccountNumber string(40)
  Website url
  Industry picklist
  AnnualRevenue currency
  NumberOfEmployees int
  Ownership picklist
  Rating picklist
  Description textarea(32000) long
  CurrencyIsoCode picklist =
  OwnerId ref(User) =
  LastActivityDate date readonly
  AccountSource picklist
  MasterRecordId ref(Account) readonly
  Domain__c string(255)
  Segment__c picklist

Contact replicateable undeletable createable
  AccountId ref(Account)
  LastName string(80) !
  FirstName string(40)
  Salutation picklist
  Name string(121) readonly name
  MailingCity string(40)
  MailingCountry string(80)
  Phone phone
  MobilePhone phone
  ReportsToId ref(Contact)
  Email email
  Title string(128)
  Department string(80)
  LeadSource picklist
  Description textarea(32000) long
  CurrencyIsoCode picklist =
  OwnerId ref(User) =
  LastActivityDate date readonly
  EmailBouncedReason string(255)
  EmailBouncedDate datetime
  IsEmailBounced boolean readonly
  MasterRecordId ref(Contact) readonly
  Role__c picklist
  Buying_Centre__c picklist

Lead replicateable undeletable createable
  LastName string(80) !
  FirstName string(40)
  Salutation picklist
  Name string(121) readonly name
  Title string(128)
  Company string(255) !
  City string(40)
  Country string(80)
  Phone phone
  MobilePhone phone
  Email email
  Website url
  Description textarea(32000) long
  LeadSource picklist
  Status picklist =
  Industry picklist
  Rating picklist
  CurrencyIsoCode picklist =
  NumberOfEmployees int
  OwnerId ref(User) =
  IsConverted boolean =
  ConvertedDate date readonly
  ConvertedAccountId ref(Account) readonly
  ConvertedContactId ref(Contact) readonly
  ConvertedOpportunityId ref(Opportunity) readonly
  LastActivityDate date readonly
  MasterRecordId ref(Lead) readonly
  MQL_Date__c date
  SQL_Date__c date

Opportunity replicateable undeletable createable
  AccountId ref(Account)
  IsPrivate boolean =
  Name string(120) ! name
  Description textarea(32000) long
  StageName picklist !
  Amount currency
  Probability percent =
  ExpectedRevenue currency readonly
  TotalOpportunityQuantity double(2)
  CloseDate date !
  Type picklist
  NextStep string(255)
  LeadSource picklist
  IsClosed boolean readonly
  IsWon boolean readonly
  ForecastCategory picklist readonly
  ForecastCategoryName picklist =
  CurrencyIsoCode picklist =
  HasOpportunityLineItem boolean readonly
  Pricebook2Id ref(Pricebook2)
  OwnerId ref(User) =
  LastActivityDate date readonly
  LastStageChangeDate datetime readonly
  ARR__c currency
  Term_Months__c double(0)
  Start_Date__c date
  Sales_Motion__c picklist
  Segment__c picklist
  Expansion_Kind__c picklist
  First_Meeting_Date__c date
  Loss_Reason__c picklist
  Pilot__c boolean =
  Pilot_Start_Date__c date
  Pilot_End_Date__c date
  Pilot_Converted_Date__c date

OpportunityHistory replicateable unmodified
  OpportunityId ref(Opportunity) readonly
  StageName picklist readonly
  Amount currency readonly
  ExpectedRevenue currency readonly
  CloseDate date readonly
  Probability percent readonly
  ForecastCategory picklist readonly
  CurrencyIsoCode picklist readonly
  PrevAmount currency readonly
  PrevCloseDate date readonly

OpportunityFieldHistory replicateable unmodified unstamped
  OpportunityId ref(Opportunity) readonly
  Field picklist readonly
  DataType picklist readonly
  OldValue anyType long readonly
  NewValue anyType long readonly

OpportunityLineItem replicateable createable
  OpportunityId ref(Opportunity) !
  SortOrder int
  PricebookEntryId ref(PricebookEntry)
  Product2Id ref(Product2)
  ProductCode string(255) readonly
  Name string(376) readonly name
  CurrencyIsoCode picklist =
  Quantity double(2) !
  Subtotal currency readonly
  Discount percent
  TotalPrice currency
  UnitPrice currency
  ListPrice currency readonly
  ServiceDate date
  Description string(255)
  Line_Kind__c picklist

Contract replicateable undeletable createable
  AccountId ref(Account) !
  ContractNumber string(30) readonly name
  StartDate date
  EndDate date
  ContractTerm int
  OwnerId ref(User) =
  Status picklist !
  StatusCode picklist readonly
  ActivatedDate datetime readonly
  CompanySignedDate date
  CustomerSignedDate date
  Description textarea(32000) long
  CurrencyIsoCode picklist =
  SBQQ__Opportunity__c ref(Opportunity)
  Contract_Value__c currency
  Terminated_Date__c date

SBQQ__Subscription__c replicateable undeletable createable
  Name string(80) readonly name
  SBQQ__Account__c ref(Account)
  SBQQ__Contract__c ref(Contract)
  SBQQ__Product__c ref(Product2)
  SBQQ__ProductName__c string(255) readonly
  SBQQ__Quantity__c double(2)
  SBQQ__NetPrice__c currency
  SBQQ__SubscriptionStartDate__c date
  SBQQ__SubscriptionEndDate__c date
  SBQQ__StartDate__c date readonly
  SBQQ__EndDate__c date readonly
  SBQQ__TerminatedDate__c date
  SBQQ__RevisedSubscription__c ref(SBQQ__Subscription__c)
  CurrencyIsoCode picklist =
  Line_Kind__c picklist

OpportunityContactRole replicateable createable
  OpportunityId ref(Opportunity) !
  ContactId ref(Contact) !
  Role picklist
  IsPrimary boolean =
  CurrencyIsoCode picklist =

OpportunityStage undeleted
  MasterLabel string(255) readonly
  ApiName string(255) readonly
  IsActive boolean readonly
  SortOrder int readonly
  IsClosed boolean readonly
  IsWon boolean readonly
  ForecastCategory picklist readonly
  ForecastCategoryName picklist readonly
  DefaultProbability percent readonly
  Description string(255) readonly

Event replicateable undeletable createable
  WhoId ref(Contact)
  WhatId ref(Account,Opportunity)
  Subject string(255)
  Location string(255)
  IsAllDayEvent boolean =
  ActivityDateTime datetime
  ActivityDate date
  DurationInMinutes int
  StartDateTime datetime
  EndDateTime datetime
  Description textarea(32000) long
  AccountId ref(Account) readonly
  OwnerId ref(User) =
  CurrencyIsoCode picklist =
  IsArchived boolean readonly
  IsPrivate boolean =

User replicateable createable undeleted
  Username string(80) !
  LastName string(80) !
  FirstName string(40)
  Name string(121) readonly name
  CompanyName string(80)
  Title string(80)
  Email email !
  IsActive boolean =
  UserType picklist readonly
  ManagerId ref(User)
  DefaultCurrencyIsoCode picklist

Product2 replicateable undeletable createable
  Name string(255) ! name
  ProductCode string(255)
  Description textarea(4000) long
  IsActive boolean =
  Family picklist
  CurrencyIsoCode picklist =

ForecastingQuota createable undeleted
  QuotaAmount currency
  QuotaQuantity double(2)
  QuotaOwnerId ref(User) !
  StartDate date !
  PeriodId ref(Period) readonly
  ForecastingTypeId ref(ForecastingType) !
  IsAmount boolean readonly
  IsQuantity boolean readonly
  ProductFamily picklist
  CurrencyIsoCode picklist =

CurrencyType createable undeleted
  IsoCode picklist !
  ConversionRate double(18) !
  DecimalPlaces int !
  IsActive boolean =
  IsCorporate boolean =

DatedConversionRate createable undeleted
  IsoCode picklist !
  StartDate date !
  NextStartDate date readonly
  ConversionRate double(18) !

Organization undeleted
  Name string(80) name
  Country string(80)
  DefaultCurrencyIsoCode picklist readonly
  DefaultLocaleSidKey picklist
  TimeZoneSidKey picklist
  FiscalYearStartMonth int
  IsSandbox boolean readonly
  OrganizationType picklist readonly
  InstanceName string(5) readonly
"""
