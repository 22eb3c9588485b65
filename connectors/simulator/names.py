"""Word lists of the simulated company: who buys, who sells, and what they write into their CRM."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_WORDS = _words(
    """Amber Aspen Atlas Beacon Birch Bluewater Boulder Bramble Bridgeport Bright Brook Canyon Cardinal Cascade
    Cedar Chestnut Clear Clover Cobalt Compass Copper Coral Crescent Crown Crystal Dogwood Dover Eagle Eastgate
    Echo Elm Ember Evergreen Fairview Falcon Fern Flint Fox Garnet Glacier Golden Granite Gray Green Grove Harbor
    Hawthorn Hazel Heron Hickory Highland Hollow Horizon Indigo Iron Ivory Jasper Juniper Keystone Lake Lantern
    Larch Laurel Liberty Lily Linden Lotus Lunar Magnolia Maple Marble Meadow Meridian Mesa Midland Mill Mission
    Monarch Moss Myrtle Nickel Northern Oak Oasis Olive Onyx Opal Orchard Osprey Otter Pacific Pebble Pepper Pine
    Pioneer Polar Poplar Prairie Quail Quartz Quiet Rapid Raven Red Redwood Ridge River Robin Rocky Rowan Royal
    Ruby Saffron Sage Sand Sapphire Scarlet Sequoia Shore Sierra Silver Sky Slate Solar Spruce Sterling Stone
    Summit Sun Swan Swift Sycamore Tamarack Teal Terra Thistle Thunder Timber Topaz Trillium Umber Union Upland
    Valley Velvet Vista Walnut Water Western White Willow Winter Wren Yellow Yew Zenith"""
)
SECOND_WORDS = _words(
    """anchor arch bay bend bluff bow bridge cairn cape castle chase cliff cloud cove crane creek crest croft
    dale delta den drift dune edge fall farm fell field fin fire ford forge fork frost gale gate glen grange gull
    haven heath hill holt inlet isle jet kite knoll lane lark latch lea ledge loch lock loft loom lynx mast mead
    mere mint moor nest notch oar park pass path peak perch pier plain point pond port post quay rail reach reef
    rise rock root sail seal shell spar spire spring spur star steel strand thorn tide track trail vale wave well
    wharf wick wind wing wold wood yard"""
)
LEGAL_FORMS = ("Inc.", "LLC", "Ltd", "Corp.", "GmbH", "Ltd.", "PLC")

FIRST_NAMES = _words(
    """Aaron Abigail Ada Adrian Aisha Alan Alba Alex Alice Amara Amir Amy Ana Andre Anika Anna Anton Arjun Asha
    Astrid Ava Ben Bianca Boris Brian Bruno Camille Carla Carlos Carmen Cathy Chen Chloe Clara Colin Dana Daniel
    Daria David Dawn Deepa Diego Dina Dora Dylan Edith Eli Elena Emil Emma Erin Esra Esther Ethan Eva Farah Felix
    Fiona Flora Frank Gabriel Gemma George Grace Greta Hana Hannah Hector Helen Henry Hiro Hugo Ian Ida Ines Ingrid
    Irene Isaac Ivan Jack Jade Jana Jasmine Jean Jin Joan Joel Jonas Jorge Josie Julia Kai Kara Karim Kate Keiko
    Ken Kira Lara Laura Lea Leo Liam Lila Lin Lola Louis Lucia Luke Maya Marc Maria Marta Max Mei Mia Mila Milo
    Mina Mona Nadia Nate Nina Noah Nora Olga Omar Oscar Otto Owen Paula Pedro Petra Priya Quinn Rafael Raj Rania
    Rita Rosa Ruth Ryan Sam Sara Selma Sofia Stella Tara Theo Tina Tom Uma Vera Victor Wanda Will Yara Yusuf Zoe
    """
)
LAST_NAMES = _words(
    """Abbott Acosta Adler Ahmed Albers Almeida Ander Araujo Arnold Atkins Bailey Banerjee Barros Bauer Becker
    Bell Benson Berg Bishop Blake Boyd Brandt Brennan Brooks Burke Byrne Calder Campos Carver Castro Chan Chavez
    Cho Clarke Cohen Conrad Costa Craig Cruz Dalton Davies Delgado Diaz Doyle Drake Duarte Dunn Eklund Ellis Engel
    Evans Farrell Faulkner Ferrari Fischer Fletcher Flores Ford Frost Fuchs Fuller Garcia Gibson Gomez Graf Grant
    Gupta Haas Hale Hansen Harper Hayes Heller Herrera Hoffman Holt Huang Hughes Hunt Ibrahim Ito Iyer Jansen
    Jensen Joshi Kaplan Kaur Keller Khan Kim Klein Kovacs Kumar Lambert Lange Larsen Lee Lewis Lima Lopez Lowe
    Lund Marsh Martin Meyer Mills Mori Moreno Morris Murphy Nair Nash Navarro Nguyen Novak Nunes Ortega Owens
    Palmer Park Patel Perez Petrov Pham Porter Price Quinn Ramos Rao Reid Reyes Rivera Rossi Roth Ruiz Russo Sato
    Schmidt Schulz Shah Sharp Silva Singh Sousa Stein Stone Suarez Suzuki Tan Thomas Torres Tran Turner Vargas
    Vega Vogel Wagner Walsh Wang Ward Weber West Wolf Wong Wood Wright Wu Yang Young Zhang Ziegler Zimmer"""
)
PLACES = {
    "USD": (
        ("United States", "Boston"),
        ("United States", "Chicago"),
        ("United States", "Austin"),
        ("United States", "Atlanta"),
        ("United States", "Denver"),
        ("United States", "Seattle"),
        ("Canada", "Toronto"),
        ("United States", "Columbus"),
    ),
    "EUR": (
        ("Germany", "Hamburg"),
        ("France", "Lyon"),
        ("Netherlands", "Rotterdam"),
        ("Spain", "Valencia"),
        ("Ireland", "Dublin"),
        ("Germany", "München"),
    ),
    "GBP": (
        ("United Kingdom", "London"),
        ("United Kingdom", "Leeds"),
        ("United Kingdom", "Bristol"),
    ),
}
LOSS_REASONS = (
    "No decision",
    "Price",
    "Lost to competitor",
    "Missing feature",
    "Timing",
    "No budget",
    "Champion left",
)
UNQUALIFIED_REASONS = ("Not a fit", "No response", "No budget", "Duplicate request")
NEXT_STEPS = (
    "Book discovery call",
    "Send recap and agenda",
    "Walk through requirements",
    "Review pilot results",
    "Send proposal",
    "Redline contract with legal",
    "Collect signature",
    "Confirm budget owner",
    "Security questionnaire",
    "Meet procurement",
)
PLACEHOLDERS = ("TBD", "n/a", "-", "?", "tba", "Test", "none")
MEETINGS = ("Intro call", "Discovery", "Demo", "Technical deep dive", "Pricing review", "Executive check-in")

# Lead sources by motion: the source map that turns a CRM's word into how the deal came about.
SOURCES = {
    "inbound": ("Inbound", "Website", "Webinar", "Content Download"),
    "outbound": ("Outbound", "Cold Call", "Trade Show"),
    "partner": ("Partner", "Partner Referral"),
    "self-serve": ("Self-Serve", "Free Trial"),
}
DESCRIPTORS = _words(
    """Logistics Foods Health Systems Industries Partners Retail Motors Labs Media Energy Supply Textiles Metals
    Travel Insurance"""
)
REGIONS = ("Europe", "North America", "Iberia", "Nordics", "UK", "West", "East", "Canada")
